/**
 * Depth data of one's own: pictures and their depth in memory.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type ImageSource, isImageSource, type OwnDataOptions, readColourImage, splitOwn } from "../data/own.ts";
import { checkedDepth, type DepthDataset, depthProtocols, type DepthSplits } from "./dataset.ts";

/** A map of depth. */
export interface DepthMap {
  /** [height, width] metres; 0 where nothing was measured. */
  readonly data: Float32Array;
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
}

/** A picture and its depth, of the same size. */
export interface DepthPair {
  /** The picture, in colour or grey. */
  readonly image: ImageSource;
  /** Its depth. */
  readonly depth: DepthMap;
}

function datasetOf(name: string, examples: readonly DepthPair[]): DepthDataset {
  return checkedDepth({
    name,
    size: examples.length,
    get: async (index) => {
      const { image, depth } = examples[index];
      const picture = await readColourImage(image, `picture ${index} of ${name}`);
      const { height, width } = picture;
      if (depth.height === height && depth.width === width && depth.data.length === height * width) {
        return { ...picture, depth: depth.data };
      }
      throw new OneloraError({
        attempted: `reading example ${index} of ${name}`,
        found: `${depth.data.length} values of ${depth.width}x${depth.height} depth for ${width}x${height} pixels`,
        allowed: "a picture and its depth of one size",
      });
    },
  });
}

/**
 * Whether an example is a picture and its depth.
 *
 * @param example Anything
 */
export function isDepthPair(example: object): example is DepthPair {
  return "image" in example && isImageSource(example.image) && "depth" in example &&
    typeof example.depth === "object" && example.depth !== null && "data" in example.depth &&
    example.depth.data instanceof Float32Array;
}

/**
 * Your own pictures with their depth as a data set: metres from 0.001 to 80 count, everywhere in the picture.
 *
 * @param train Examples to learn from
 * @param test Examples to be judged by; a tenth is held out where there are none
 * @param options See {@linkcode OwnDataOptions}
 */
export function ownDepth(
  train: readonly DepthPair[],
  test: readonly DepthPair[] | undefined,
  options: OwnDataOptions,
): DepthSplits {
  const split = splitOwn(train, test, () => "all", options);
  return {
    train: datasetOf("own/train", split.train),
    test: datasetOf("own/test", split.test),
    protocol: depthProtocols.scenesDriving,
  };
}
