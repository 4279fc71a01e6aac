/**
 * What a GIF says before its first frame. The decoder makes transparent pixels black and so forgets their colour, which
 * counts here as that of any other pixel (Pillow's `convert("RGB")`).
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import type { Pixels } from "./picture_formats.ts";

/** A GIF whose first frame has no transparency, and what lies outside that frame. */
export interface OpaqueGif {
  /** The file, changed. */
  readonly bytes: Uint8Array;
  /** Columns of the whole picture. */
  readonly width: number;
  /** Rows of it. */
  readonly height: number;
  /** A decoded picture with the colour of what its first frame leaves out. */
  readonly filled: (picture: Pixels) => Pixels;
}

/**
 * Makes the first frame of a GIF opaque.
 *
 * @param stored The file
 * @param name What to call it in errors
 * @throws OneloraError for a file that has no frame
 */
export function opaqueGif(stored: Uint8Array, name: string): OpaqueGif {
  const bytes = stored.slice();
  const cut = (): never => {
    throw new OneloraError({ attempted: `decoding ${name}`, found: "a GIF without a frame", allowed: "an intact GIF" });
  };
  const word = (at: number) => bytes[at] | (bytes[at + 1] << 8);
  const tableAfter = (flags: number) => (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
  const [width, height] = [word(6), word(8)];
  const colours = 13;
  let at = colours + tableAfter(bytes[10]);
  let transparent = 0;
  while (bytes[at] === 0x21) {
    const graphic = bytes[at + 1] === 0xf9 && bytes[at + 2] === 4;
    if (graphic && (bytes[at + 3] & 1) === 1) {
      transparent = bytes[at + 6];
      bytes[at + 3] &= 0xfe;
    }
    for (at += 2; bytes[at] > 0; at += 1 + bytes[at]);
    at++;
  }
  if (bytes[at] !== 0x2c || at + 10 > bytes.length) cut();
  const frame = { left: word(at + 1), top: word(at + 3), width: word(at + 5), height: word(at + 7) };
  const palette = (bytes[at + 9] & 0x80) === 0 ? colours : at + 10;
  const colour = bytes.slice(palette + 3 * transparent, palette + 3 * transparent + 3);
  const [right, bottom] = [frame.left + frame.width, frame.top + frame.height];
  const whole = frame.left === 0 && frame.top === 0 && right >= width && bottom >= height;
  return {
    bytes,
    width,
    height,
    filled: (picture) => {
      if (whole || picture.channels !== 3 || picture.width !== width || picture.height !== height) return picture;
      const pixels = picture.pixels.slice();
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const inside = x >= frame.left && x < right && y >= frame.top && y < bottom;
          if (!inside) pixels.set(colour, 3 * (y * width + x));
        }
      }
      return { ...picture, pixels };
    },
  };
}
