/**
 * What a TIFF says of its colours and numbers. The decoder takes luminance and chrominance for red, green and blue where JPEG did
 * not write them, tiles that it cannot unpack for zeros, and floats of 16 bits for bytes, without a word.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

const [BITS, COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT] = [258, 259, 262, 339];
/** A sample format: floating-point numbers. */
const FLOATS = 3;
/** How the decoder can unpack: not at all, fax, LZW, JPEG, Deflate, PackBits, WebP. */
const UNPACKED: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 50001];
/** Other ways to pack, by number. */
const PACKINGS: Readonly<Record<number, string>> = {
  33003: "JPEG 2000",
  34712: "JPEG 2000",
  34887: "LERC",
  34925: "LZMA",
  50000: "Zstandard",
  50002: "JPEG XL",
  52546: "JPEG XL",
};
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

/** Tags of a TIFF, or what is done with one that ends before them. */
function tagsOf(bytes: Uint8Array, name: string): ReadonlyMap<number, number> {
  try {
    return firstTags(bytes, [BITS, COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT]);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new OneloraError({ attempted: `decoding ${name}`, found: "a file cut short", allowed: "a whole TIFF" });
  }
}

/** Refuses a TIFF that the decoder cannot unpack. */
function checkPacking(tags: ReadonlyMap<number, number>, name: string): void {
  const packing = tags.get(COMPRESSION) ?? 1;
  if (UNPACKED.includes(packing)) return;
  throw new OneloraError({
    attempted: `decoding ${name}`,
    found: `a TIFF packed by ${PACKINGS[packing] ?? `way ${packing}`}`,
    allowed: "one that is not packed, or by LZW, Deflate, PackBits, JPEG or WebP",
  });
}

/**
 * Refuses a TIFF whose numbers would be taken for others.
 *
 * @param bytes The file
 * @param name What to call it in errors
 * @throws OneloraError for one whose 0 is white, whose floats are of other than 32 bits, or that cannot be unpacked
 */
export function checkTiffNumbers(bytes: Uint8Array, name: string): void {
  const tags = tagsOf(bytes, name);
  checkPacking(tags, name);
  const [bits, isFloat] = [tags.get(BITS) ?? 1, tags.get(SAMPLE_FORMAT) === FLOATS];
  const found = tags.get(PHOTOMETRIC) === 0
    ? "a TIFF whose 0 is white"
    : isFloat && bits !== 32
    ? `a TIFF of floats in ${bits} bits`
    : undefined;
  if (found === undefined) return;
  const allowed = "0 as black; 16 bits, or floats in 32";
  throw new OneloraError({ attempted: `decoding ${name}`, found, allowed });
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
  const tags = tagsOf(bytes, name);
  checkPacking(tags, name);
  const kind = tags.get(PHOTOMETRIC) ?? 1;
  if (COLOURS[kind] !== undefined) fail(COLOURS[kind]);
  if (kind === 6 && ![6, 7].includes(tags.get(COMPRESSION) ?? 1)) {
    fail("luminance and chrominance (YCbCr), not in JPEG");
  }
}
