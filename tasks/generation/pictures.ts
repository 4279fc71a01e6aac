/**
 * Samples as pictures: many in one grid.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Pixels } from "../data/png.ts";
import { toBytes } from "./preprocess.ts";

/** How a grid is laid out. */
export interface GridOptions {
  /** Images a row; by default the square root of their number, rounded up. */
  readonly columns?: number;
  /** Black pixels around every image; 2 by default. */
  readonly padding?: number;
}

/**
 * Images side by side, row by row, on black.
 *
 * @param values [B, C, H, W] from -1 to 1, row-major
 * @param shape [B, C, H, W], C = 1 or 3
 * @param options See {@linkcode GridOptions}
 * @throws OneloraError for shapes that are no images
 *
 * @example
 * ```ts
 * import { imageGrid } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const grid = imageGrid(Float32Array.of(1, 0), [2, 1, 1, 1], { padding: 0 });
 * assertEquals([grid.width, grid.height, ...grid.pixels], [2, 1, 255, 128]);
 * ```
 */
export function imageGrid(values: Float32Array, shape: readonly number[], options: GridOptions = {}): Pixels {
  const [batch, channels, height, width] = shape;
  const { columns = Math.min(Math.ceil(Math.sqrt(batch)), batch), padding = 2 } = options;
  const area = height * width;
  const whole = [columns, padding + 1, batch, height, width].every((each) => Number.isInteger(each) && each > 0);
  if (!whole || shape.length !== 4 || ![1, 3].includes(channels) || values.length !== batch * channels * area) {
    throw new OneloraError({
      attempted: "drawing a grid of images",
      found: `${values.length} values of shape [${shape.join(", ")}], ${columns} columns, padding ${padding}`,
      allowed: "one image or more of 1 or 3 channels, 1 column or more, a whole padding",
    });
  }
  const bytes = toBytes(values);
  const rows = Math.ceil(batch / columns);
  const gridHeight = rows * (height + padding) + padding;
  const gridWidth = columns * (width + padding) + padding;
  const pixels = new Uint8Array(gridHeight * gridWidth * channels);
  for (let image = 0; image < batch; image++) {
    const top = padding + Math.floor(image / columns) * (height + padding);
    const left = padding + (image % columns) * (width + padding);
    for (let channel = 0; channel < channels; channel++) {
      const plane = bytes.subarray((image * channels + channel) * area);
      for (let i = 0; i < area; i++) {
        const place = (top + Math.floor(i / width)) * gridWidth + left + (i % width);
        pixels[place * channels + channel] = plane[i];
      }
    }
  }
  return { pixels, height: gridHeight, width: gridWidth, channels };
}
