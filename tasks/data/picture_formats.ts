// Files begin with such characters.
// deno-lint-ignore-file no-control-regex
/**
 * Which format a picture is in, by its first bytes: names of files say what somebody meant.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { POINTER, POINTER_PATTERN } from "../../dsl/files/pointer.ts";

/** Formats of pictures that are decoded. */
export type PictureFormat = "png" | "jpeg" | "webp" | "gif" | "tiff" | "avif" | "bmp" | "pnm";

/** How the names of files end that are taken for pictures, in lower case. */
export const imageExtensions: readonly string[] = [
  ".jpg",
  ".jpeg",
  ".jpe",
  ".jfif",
  ".png",
  ".apng",
  ".webp",
  ".gif",
  ".tif",
  ".tiff",
  ".avif",
  ".bmp",
  ".dib",
  ".ppm",
  ".pgm",
  ".pbm",
  ".pnm",
];

/** What is allowed, in words. */
const pictureFormats = "PNG, JPEG, WebP, GIF, TIFF, AVIF, BMP or PPM/PGM/PBM";

/** Bytes as text, one character each. */
function latin(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Beginnings of files by format. */
const BEGINNINGS: readonly (readonly [PictureFormat, RegExp])[] = [
  ["png", /^\x89PNG\r\n\x1a\n/],
  ["jpeg", /^\xff\xd8\xff/],
  ["gif", /^GIF8[79]a/],
  ["webp", /^RIFF[^]{4}WEBP/],
  ["tiff", /^(?:II[*+]\0|MM\0[*+])/],
  ["bmp", /^BM/],
  ["pnm", /^P[1-6][\s#]/],
  ["avif", /^\0\0[^]{2}ftyp(?:avi[fs]|mif1[^]{4}(?:[^]{4})*?avif|miaf[^]{4}(?:[^]{4})*?avif)/],
];

/** Beginnings of what is not decoded, and what it is. */
const OTHERS: readonly (readonly [string, RegExp])[] = [
  ["an SVG drawing, which may draw other files", /^(?:\xef\xbb\xbf)?\s*<[^]*<?svg[\s>]/i],
  ["a gzipped file", /^\x1f\x8b/],
  ["XML or HTML", /^(?:\xef\xbb\xbf)?\s*</],
  [POINTER, POINTER_PATTERN],
  ["a PDF document", /^%PDF/],
  ["HEIC, whose codec is not free", /^\0\0[^]{2}ftyp(?:he|mif1|msf1)/],
  ["a film", /^\0\0[^]{2}ftyp|^\x1a\x45\xdf\xa3/],
  ["a Photoshop document", /^8BPS/],
  ["JPEG 2000", /^(?:\0\0\0\x0cjP {2}|\xff\x4f\xff\x51)/],
  ["JPEG XL", /^(?:\xff\x0a|\0\0\0\x0cJXL )/],
  ["an icon", /^\0\0[\x01\x02]\0/],
  ["a map of floating-point numbers (PFM)", /^P[Ff]\s/],
  ["a PAM map", /^P7\n/],
  ["a picture of floating-point numbers", /^(?:#\?RADIANCE|#\?RGBE|v\/1\x01)/],
  ["a picture of libvips", /^(?:\x08\xf2\xa6\xb6|\xb6\xa6\xf2\x08)/],
  ["a macOS resource fork", /^\0\x05\x16\x07/],
];

/** Bytes that formats are told by. */
const LOOKED_AT = 1024;

/**
 * The format of a picture.
 *
 * @param bytes The file
 * @param name What to call it in errors
 * @throws OneloraError for what is no picture, saying what it is where that is known
 */
export function pictureFormat(bytes: Uint8Array, name: string): PictureFormat {
  const start = latin(bytes.subarray(0, LOOKED_AT));
  const found = BEGINNINGS.find(([, beginning]) => beginning.test(start));
  if (found !== undefined) return found[0];
  const other = OTHERS.find(([, beginning]) => beginning.test(start))?.[0];
  throw new OneloraError({
    attempted: `decoding ${name}`,
    found: bytes.length === 0 ? "an empty file" : other ?? "no picture of a known format",
    allowed: pictureFormats,
  });
}

/** Pixels of a picture at most: 256 MiB of RGB, where Pillow warns of decompression bombs, too. */
export const MOST_PIXELS = Math.trunc(2 ** 28 / 3);

/** Bytes of a picture's file at most. */
export const MOST_BYTES = 2 ** 30;

/**
 * Checks a picture's size before anything is made for its pixels.
 *
 * @param width Columns
 * @param height Rows
 * @param name What to call the picture in errors
 */
export function checkPictureSize(width: number, height: number, name: string): void {
  if (Number.isInteger(width * height) && width > 0 && height > 0 && width * height <= MOST_PIXELS) return;
  throw new OneloraError({
    attempted: `decoding ${name}`,
    found: `${width}x${height} pixels`,
    allowed: `1 to ${MOST_PIXELS.toLocaleString("en-US")} pixels`,
  });
}

/** Pixels of a decoded picture. */
export interface Pixels {
  /** Bytes in [height, width, channels] order. */
  readonly pixels: Uint8Array;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
  /** 1 (grey) or 3 (red, green, blue). */
  readonly channels: number;
  /** How the file asks to be turned (EXIF orientation, 2 to 8), where that was asked for and is not done. */
  readonly orientation?: number;
}
