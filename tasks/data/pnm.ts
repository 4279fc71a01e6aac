/**
 * Portable bitmaps, greymaps and pixmaps (PBM, PGM, PPM), as text and as bytes: the decoder for the other formats does not
 * read them.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { checkPictureSize, type Pixels } from "./picture_formats.ts";
import { roundHalfEven } from "./round.ts";

const isBlank = (byte: number) => byte === 32 || (byte >= 9 && byte <= 13);

/** Reads numbers as text from a place on, comments passed over. */
function numbersFrom(bytes: Uint8Array, start: number, fail: (found: string) => never) {
  let at = start;
  const skip = () => {
    while (at < bytes.length && (isBlank(bytes[at]) || bytes[at] === 35)) {
      if (bytes[at] === 35) { while (at < bytes.length && bytes[at] !== 10 && bytes[at] !== 13) at++; }
      else at++;
    }
  };
  const isDigit = () => bytes[at] >= 48 && bytes[at] <= 57;
  return {
    place: () => at,
    /** The next number; a single digit where no blanks are needed. */
    next: (single = false): number => {
      skip();
      if (!isDigit()) fail(at < bytes.length ? "a number that is none" : "a file cut short");
      let value = 0;
      for (let digits = 0; isDigit() && (!single || digits === 0); digits++, at++) {
        if (digits > 9) fail("a number of more than ten digits");
        value = 10 * value + bytes[at] - 48;
      }
      return value;
    },
  };
}

/**
 * A map as bytes: grey as one channel, colour as three. Values become round(255 value / maximum), halves to the even
 * neighbour as in Pillow; of greys of 16 bits, the upper eight count.
 *
 * @param bytes The file
 * @param name What to call it in errors
 * @throws OneloraError for a damaged file
 */
export function decodePnm(bytes: Uint8Array, name: string): Pixels {
  const fail = (found: string): never => {
    throw new OneloraError({ attempted: `decoding ${name}`, found, allowed: "an intact PBM, PGM or PPM" });
  };
  const kind = bytes[1] - 48;
  const [asText, bilevel, channels] = [kind <= 3, kind === 1 || kind === 4, kind === 3 || kind === 6 ? 3 : 1];
  const header = numbersFrom(bytes, 2, fail);
  const [width, height] = [header.next(), header.next()];
  const most = bilevel ? 1 : header.next();
  checkPictureSize(width, height, name);
  if (most < 1 || most > 65535) fail(`largest value ${most}`);
  const count = width * height * channels;
  // One blank ends the header.
  const start = header.place() + 1;
  const size = bilevel ? Math.ceil(width / 8) * height : most > 255 ? 2 * count : count;
  if ((asText ? header.place() + count : start + size) > bytes.length) fail("a file cut short");
  const pixels = new Uint8Array(count);
  const valueAt = (i: number): number => {
    if (asText) return header.next(bilevel);
    if (bilevel) {
      const [y, x] = [Math.trunc(i / width), i % width];
      return (bytes[start + y * Math.ceil(width / 8) + (x >> 3)] >> (7 - (x & 7))) & 1;
    }
    return most > 255 ? (bytes[start + 2 * i] << 8) | bytes[start + 2 * i + 1] : bytes[start + i];
  };
  const greys16 = most > 255 && channels === 1;
  for (let i = 0; i < count; i++) {
    const value = valueAt(i);
    if (asText && value > most) fail(`value ${value}`);
    // One is black in a bitmap.
    if (bilevel) pixels[i] = value === 1 ? 0 : 255;
    else if (greys16) pixels[i] = Math.min(255, roundHalfEven(value / most * 65535) >> 8);
    else pixels[i] = Math.min(255, most === 255 ? value : roundHalfEven(value / most * 255));
  }
  return { pixels, height, width, channels };
}
