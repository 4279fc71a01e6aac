/**
 * Depth of a picture of any size: prepared as the published processor prepares it, predicted, brought back to its size.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { apply, type Layer } from "../../dsl/layer.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";
import type { Params } from "../../dsl/tree.ts";
import type { ImageInput } from "../../models/family.ts";
import { normalise } from "../data/augment.ts";
import type { ImageExample } from "../data/dataset.ts";
import { resize } from "../data/resize.ts";
import { roundHalfEven } from "../data/round.ts";

/** Plain pixels of three channels. */
export type ColourPicture = Omit<ImageExample, "label" | "channels">;

/**
 * The size that a picture is resized to: as little as possible, such that one side is the model's and the other follows in
 * proportion, both rounded to multiples. As transformers' `DPTImageProcessor` with `keep_aspect_ratio`.
 *
 * @param height Rows of the picture
 * @param width Columns of the picture
 * @param image What the model expects: its own size, and what sides must be multiples of
 * @throws OneloraError for a picture so narrow that nothing of it would be left
 *
 * @example
 * ```ts
 * import { depthInputSize } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * assertEquals(depthInputSize(480, 640, { height: 518, width: 518, multipleOf: 14 }), [518, 686]);
 * ```
 */
export function depthInputSize(
  height: number,
  width: number,
  image: Pick<ImageInput, "height" | "width" | "multipleOf">,
): readonly [height: number, width: number] {
  const { multipleOf = 1 } = image;
  const [down, across] = [image.height / height, image.width / width];
  const scale = Math.abs(1 - across) < Math.abs(1 - down) ? across : down;
  const side = (length: number) => roundHalfEven(scale * length / multipleOf) * multipleOf;
  const size = [side(height), side(width)] as const;
  if (Math.min(...size) > 0) return size;
  throw new OneloraError({
    attempted: "preparing a picture for a depth model",
    found: `${height}x${width} pixels`,
    allowed: `a picture whose shorter side keeps ${multipleOf} pixels at the model's size`,
  });
}

/**
 * A picture as a depth model reads it: resized (bicubic, antialiased, to bytes), then (byte / 255 - mean) / std.
 *
 * @param picture The picture
 * @param image What the model expects
 * @returns Values [3, height, width], and their height and width
 */
export function depthInput(
  picture: ColourPicture,
  image: ImageInput,
): { readonly values: Float32Array; readonly height: number; readonly width: number } {
  const [height, width] = depthInputSize(picture.height, picture.width, image);
  const resized = resize({ ...picture, channels: 3, label: 0 }, height, width, "bicubic");
  return { values: normalise(resized, image), height, width };
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
  const depth = tf.tidy(() => {
    const map = apply(layer, params)(tf.tensor(values, [1, 3, height, width]));
    const size = [picture.height, picture.width] as const;
    return interpolate(tf.reshape(map, [1, height, width, 1]), { size }, { mode: "bilinear" });
  });
  try {
    return await depth.data<"float32">();
  } finally {
    depth.dispose();
  }
}
