/**
 * What a TIFF says of its colours. The decoder takes luminance and chrominance for red, green and blue where JPEG did not
 * write them, without a word.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

const [COMPRESSION, PHOTOMETRIC] = [259, 262];
/** Kinds of colours, by number. */
const COLOURS: Readonly<Record<number, string>> = {
  4: "a mask of transparency",
  8: "CIE L*a*b* colours",
  9: "ICC L*a*b* colours",
  10: "ITU L*a*b* colours",
  32803: "a camera's raw colours",
  34892: "a camera's raw colours",
};

/** Values of some tags of the first page; those that are not there are missing. */
function firstTags(bytes: Uint8Array, wanted: readonly number[]): ReadonlyMap<number, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[0] === 0x49;
  const big = view.getUint16(2, little) === 43;
  const offset = (at: number) => big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little);
  const page = offset(big ? 8 : 4);
  const found = new Map<number, number>();
  const count = big ? offset(page) : view.getUint16(page, little);
  const [first, size] = [page + (big ? 8 : 2), big ? 20 : 12];
  for (let i = 0; i < Math.min(count, 4096); i++) {
    const at = first + i * size;
    const tag = view.getUint16(at, little);
    // Both are numbers of two bytes, which lie in the entry itself.
    if (wanted.includes(tag)) found.set(tag, view.getUint16(at + (big ? 12 : 8), little));
  }
  return found;
}

/**
 * Refuses a TIFF whose colours would be taken for others.
 *
 * @param bytes The file
 * @param name What to call it in errors
 */
export function checkTiff(bytes: Uint8Array, name: string): void {
  const fail = (found: string): never => {
    const allowed = "grey, red-green-blue, palette or CMYK, or JPEG's colours in JPEG";
    throw new OneloraError({ attempted: `decoding ${name}`, found, allowed });
  };
  let tags: ReadonlyMap<number, number>;
  try {
    tags = firstTags(bytes, [COMPRESSION, PHOTOMETRIC]);
  } catch (cause) {
    if (cause instanceof RangeError) return fail("a file cut short");
    throw cause;
  }
  const kind = tags.get(PHOTOMETRIC) ?? 1;
  if (COLOURS[kind] !== undefined) fail(COLOURS[kind]);
  if (kind === 6 && ![6, 7].includes(tags.get(COMPRESSION) ?? 1)) {
    fail("luminance and chrominance (YCbCr), not in JPEG");
  }
}
