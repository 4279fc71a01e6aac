/**
 * Images in four orientations, each orientation a class of its own: a harder task from the same pictures, whose features
 * know about strokes and their directions.
 *
 * @module
 */

import type { ImageDataset, ImageExample, ImageSplits } from "./dataset.ts";

/**
 * A square image turned counter-clockwise by quarter turns.
 *
 * @param image The image
 * @param quarters How many quarter turns, 0 to 3
 */
export function turn(image: ImageExample, quarters: number): ImageExample {
  const { height: side, channels } = image;
  let { pixels } = image;
  for (let done = 0; done < quarters; done++) {
    const turned = new Uint8Array(pixels.length);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const from = (x * side + side - 1 - y) * channels;
        for (let c = 0; c < channels; c++) turned[(y * side + x) * channels + c] = pixels[from + c];
      }
    }
    pixels = turned;
  }
  return { ...image, pixels };
}

function turnedDataset(dataset: ImageDataset): ImageDataset {
  const { labelOf } = dataset;
  return {
    name: `${dataset.name}-turned`,
    size: 4 * dataset.size,
    classes: dataset.classes.flatMap((name) => [0, 90, 180, 270].map((degrees) => `${name} at ${degrees}°`)),
    ...(labelOf && { labelOf: (index) => 4 * labelOf(index >> 2) + (index & 3) }),
    get: async (index) => {
      const image = await dataset.get(index >> 2);
      return { ...turn(image, index & 3), label: 4 * image.label + (index & 3) };
    },
  };
}

/**
 * Every image of a data set of square images in four orientations: example 4 i + q is example i after q quarter turns, of
 * class 4 label + q.
 *
 * @param splits The data set
 */
export function turnedSplits(splits: ImageSplits): ImageSplits {
  return { train: turnedDataset(splits.train), test: turnedDataset(splits.test) };
}
