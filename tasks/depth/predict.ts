/**
 * Depth of a picture of any size: prepared as the published processor prepares it, predicted, brought back to its size.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";
import type { Params } from "../../dsl/tree.ts";
import { type ImageInput, preparationOf, usableImages } from "../../models/image_input.ts";
import type { ImageExample } from "../data/dataset.ts";
import { type ImageValues, prepareImage } from "../data/prepare.ts";

/** Plain pixels of three channels. */
export type ColourPicture = Omit<ImageExample, "label" | "channels">;

/**
 * A picture as a depth model reads it: as its files say, by default resized (bicubic, antialiased, to bytes), then
 * (byte / 255 - mean) / std.
 *
 * @param picture The picture
 * @param image What the model expects
 * @returns Values [3, height, width], and their height and width
 */
export function depthInput(
  picture: ColourPicture,
  image: ImageInput,
): ImageValues {
  const input = usableImages(image);
  return prepareImage({ ...picture, channels: 3, label: 0 }, { ...input, preparation: preparationOf(input) });
}

/**
 * Depth at each pixel of a picture, as the model gives it: metres, or inverse depth up to scale and shift. The model's map
 * is resampled to the picture's size, bilinear between the pixels' centres, as Depth Anything's own code does it.
 *
 * @param layer The model, adapted or not
 * @param params Its parameters
 * @param image What it expects
 * @param picture The picture
 * @returns [height, width] of the picture
 */
export async function predictDepth(
  layer: Layer,
  params: Params,
  image: ImageInput,
  picture: ColourPicture,
): Promise<Float32Array> {
  const { values, height, width } = depthInput(picture, image);
  // Compiled, so that every tensor is freed after its last use.
  const forward = compile((all: Params, given: tf.Tensor) => apply(layer, all)(given), { graph: true, calls: 1 });
  const depth = tf.tidy(() => {
    const map = forward(params, tf.tensor(values, [1, 3, height, width]));
    const size = [picture.height, picture.width] as const;
    // Rows and columns that no whole patch reaches are not in the map.
    const [, rows, columns] = map.shape as [number, number, number];
    return interpolate(tf.reshape(map, [1, rows, columns, 1]), { size }, { mode: "bilinear" });
  });
  forward.dispose();
  try {
    return await depth.data<"float32">();
  } finally {
    depth.dispose();
  }
}
