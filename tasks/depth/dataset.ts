/**
 * What a depth data set is: pictures with the distance of every pixel, and the rules by which predictions are judged.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** One picture and its depth. */
export interface DepthExample {
  /** Red, green and blue in [height, width, 3] order, 0 to 255. */
  readonly pixels: Uint8Array;
  /** Metres along the optical axis, [height, width]; 0 where nothing was measured. */
  readonly depth: Float32Array;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/** Depth examples by index; reading the same index twice gives the same example. */
export interface DepthDataset {
  /** For messages and records, e.g. `nyu/train`. */
  readonly name: string;
  /** How many examples; 0 where the data has no such part. */
  readonly size: number;
  /** The example at an index in 0..size-1; an unreadable one is an `OneloraError` that names it. */
  get(index: number): DepthExample | Promise<DepthExample>;
}

/** Which pixels count in evaluation: Eigen's crop of NYU's 480x640 pictures, Garg's crop of KITTI's, or all. */
export type DepthCrop = "eigen" | "garg" | "none";

/** Which pixels of a data set count, and how far predictions may reach. */
export interface DepthProtocol {
  /** Metres; only truths above count, and predictions are raised to it. */
  readonly minDepth: number;
  /** Metres; only truths below count, and predictions are lowered to it. */
  readonly maxDepth: number;
  /** Pixels that count in evaluation. */
  readonly crop: DepthCrop;
  /** Factors that augmentation draws brightness from. */
  readonly brightness: readonly [number, number];
}

/** The parts of a depth data set, and how it is judged. */
export interface DepthSplits {
  /** Examples to train on. */
  readonly train: DepthDataset;
  /** Examples to evaluate on. */
  readonly test: DepthDataset;
  /** The rules. */
  readonly protocol: DepthProtocol;
  /** What a person should know of the data, a line each: what was left out. */
  readonly notes?: readonly string[];
}

const indoor: DepthProtocol = { minDepth: 1e-3, maxDepth: 10, crop: "eigen", brightness: [0.75, 1.25] };
const outdoor: DepthProtocol = { minDepth: 1e-3, maxDepth: 80, crop: "garg", brightness: [0.9, 1.1] };

/** The rules of each data set (Depth Anything's settings; its augmentation is brighter on NYU alone). */
export const depthProtocols: Readonly<
  Record<
    "nyu" | "kitti" | "diodeIndoor" | "diodeOutdoor" | "scenesIndoor" | "scenesDriving" | "scenesOutdoor",
    DepthProtocol
  >
> = {
  nyu: indoor,
  kitti: outdoor,
  diodeIndoor: { ...outdoor, crop: "none" },
  diodeOutdoor: outdoor,
  scenesIndoor: { ...indoor, crop: "none" },
  scenesDriving: { ...outdoor, crop: "none" },
  scenesOutdoor: { ...outdoor, crop: "none" },
};

/**
 * A data set from a function of the index, with the index checked.
 *
 * @param dataset A data set whose `get` may assume that the index is in range
 */
export function checkedDepth(dataset: DepthDataset): DepthDataset {
  return {
    ...dataset,
    get(index: number): DepthExample | Promise<DepthExample> {
      if (Number.isInteger(index) && index >= 0 && index < dataset.size) return dataset.get(index);
      throw new OneloraError({
        attempted: `reading an example of ${dataset.name}`,
        found: `index ${index}`,
        allowed: dataset.size === 0 ? "none: the data has no such part" : `0 to ${dataset.size - 1}`,
      });
    },
  };
}

/** The part that a data set does not have. */
export function missingPart(name: string): DepthDataset {
  return checkedDepth({
    name,
    size: 0,
    get: () => Promise.reject(new RangeError(name)),
  });
}
