/**
 * The one way from an encoded picture to its pixels, for data sets, predictions, depth and generation alike: what Pillow's
 * `ImageOps.exif_transpose(picture).convert("RGB")` gives.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import { decodeBmp } from "./bmp.ts";
import { decoderApart } from "./decode_apart.ts";
import { opaqueGif } from "./gif.ts";
import {
  checkPictureSize,
  MOST_BYTES,
  MOST_PIXELS,
  type PictureFormat,
  pictureFormat,
  type Pixels,
} from "./picture_formats.ts";
import { decodePnm } from "./pnm.ts";
import type { Picture, PictureFacts, Sharp } from "./sharp.ts";
import { checkTiff, checkTiffNumbers } from "./tiff.ts";

/** Seconds that decoding may take. */
const PATIENCE = 60;

/** Names that sharp has for formats, where they differ. */
const SHARP_NAMES: Partial<Record<PictureFormat, string>> = { avif: "heif" };

/** Colour spaces whose values are understood. */
const SPACES: readonly string[] = ["srgb", "rgb", "b-w", "rgb16", "grey16", "cmyk"];

/**
 * Why a picture could not be decoded, in words that are the same every time: sharp quotes messages of pictures that were
 * decoded at the same time, too.
 *
 * @param cause What sharp threw
 */
function decodingFault(cause: unknown): string {
  const [line] = firstLine(cause).split(":");
  return line.startsWith("Input ") || line.startsWith("timeout") ? line : "damaged data";
}

function unreadable(name: string, found: string, allowed: string, cause?: unknown): OneloraError {
  return new OneloraError({ attempted: `decoding ${name}`, found, allowed }, { cause });
}

/** Pixels in decoding at a time in this thread; a larger picture is decoded alone. */
const AT_ONCE = 2 ** 24;
let decoding = 0;
const waiting: (() => void)[] = [];

/** Does a part of the work when there is room for its pixels. */
async function inTurn<Result>(pixels: number, work: () => Promise<Result>): Promise<Result> {
  while (decoding > 0 && decoding + pixels > AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  decoding += pixels;
  try {
    return await work();
  } finally {
    decoding -= pixels;
    for (const next of waiting.splice(0)) next();
  }
}

async function fileBytes(path: string): Promise<Uint8Array> {
  try {
    const { size } = await Deno.stat(path);
    if (size > MOST_BYTES) throw unreadable(path, `${size} bytes`, `at most ${MOST_BYTES}`);
    return await Deno.readFile(path);
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    const found = cause instanceof Deno.errors.NotFound ? "no such file" : firstLine(cause);
    throw unreadable(path, found, "an intact image", cause);
  }
}

/** A picture of a format that sharp reads, opened. */
interface Opened {
  readonly facts: PictureFacts;
  /** The picture, from its first byte. */
  readonly picture: () => Picture;
}

/** Opens an encoded picture; its format is known, and sharp must find the same. */
async function opened(sharp: Sharp, bytes: Uint8Array, format: PictureFormat): Promise<Opened> {
  // Faults that leave all pixels there are no errors to Pillow either: cameras write such files.
  const options = { limitInputPixels: MOST_PIXELS, failOn: "error", ignoreIcc: true } as const;
  const picture = () => sharp(bytes, options).timeout({ seconds: PATIENCE });
  // Its header alone is read, so that a picture of any size can be refused by what it is.
  const facts = await sharp(bytes, { ...options, limitInputPixels: 0 }).metadata();
  if (facts.format !== (SHARP_NAMES[format] ?? format)) throw new Error(`Input file is of format ${facts.format}`);
  return { facts, picture };
}

/** Ink on paper as light, in Pillow's way: each of red, green and blue is (255 - K) - round(ink (255 - K) / 255). */
function lightOf(inks: Uint8Array | Uint16Array, shift: number): Uint8Array {
  const out = new Uint8Array(inks.length / 4 * 3);
  for (let from = 0, to = 0; from < inks.length; from += 4) {
    const white = 255 - (inks[from + 3] >> shift);
    for (let c = 0; c < 3; c++) {
      const product = (inks[from + c] >> shift) * white + 128;
      out[to++] = Math.max(0, white - (((product >> 8) + product) >> 8));
    }
  }
  return out;
}

async function decodeBySharp(
  sharp: Sharp,
  stored: Uint8Array,
  format: PictureFormat,
  name: string,
  turn: boolean,
): Promise<Pixels> {
  const gif = format === "gif" ? opaqueGif(stored, name) : undefined;
  if (gif !== undefined) checkPictureSize(gif.width, gif.height, name);
  if (format === "tiff") checkTiff(stored, name);
  const { facts, picture } = await opened(sharp, gif?.bytes ?? stored, format);
  const { depth, space, channels, width, height } = facts;
  checkPictureSize(width, height, name);
  if (!SPACES.includes(space) || !["uchar", "ushort"].includes(depth)) {
    const found = `${channels} channels of ${depth} in ${space}`;
    throw unreadable(name, found, "grey, red-green-blue, palette or CMYK of 1 to 16 bits");
  }
  return await inTurn(width * height, async () => {
    const seen = (turn ? picture().autoOrient() : picture()).removeAlpha();
    const inks = space === "cmyk";
    const as = inks && depth === "ushort" ? "ushort" : "uchar";
    const plain = inks ? seen.pipelineColourspace("cmyk").toColourspace("cmyk") : seen.toColourspace("srgb");
    const { data, info } = await plain.raw({ depth: as }).toBuffer({ resolveWithObject: true });
    const values = new Uint8Array(data.buffer, data.byteOffset, data.length);
    const { orientation = 1 } = facts;
    const size = { height: info.height, width: info.width, ...(turn || orientation === 1 ? {} : { orientation }) };
    if (inks) {
      // A copy for numbers of two bytes, because the decoder's may start at an odd place.
      const pixels = as === "ushort" ? lightOf(new Uint16Array(values.slice().buffer), 8) : lightOf(values, 0);
      return { pixels, ...size, channels: 3 };
    }
    const decoded = { pixels: values, ...size, channels: info.channels };
    return gif === undefined ? decoded : gif.filled(decoded);
  });
}

/** How a picture is decoded. */
export interface DecodeOptions {
  /** Whether it is turned as its file says (EXIF orientation); default true. */
  readonly turn?: boolean;
}

/**
 * A picture as bytes, grey ones of one channel or three, others of three.
 *
 * It is turned as its file says. Opacity and colour profiles are left out; of 16 bits, the upper eight count; of several
 * frames or pages, the first; CMYK becomes RGB without profiles. The format is told by the first bytes, whatever the name.
 *
 * @param sharp The library
 * @param input Path of a file, or its bytes
 * @param name What to call it in errors
 * @param options See {@linkcode DecodeOptions}
 * @throws OneloraError for what is no intact picture, of a format that is not read, or larger than 89 million pixels
 */
export async function decodeImage(
  sharp: Sharp,
  input: string | Uint8Array,
  name: string,
  { turn = true }: DecodeOptions = {},
): Promise<Pixels> {
  const bytes = typeof input === "string" ? await fileBytes(input) : input;
  const apart = decoderApart();
  if (apart === undefined) return await decodeBytes(sharp, bytes, name, turn);
  return await apart.ask({ bytes, name, kind: "picture", turn }) as Pixels;
}

/** {@linkcode decodeImage} of a file's bytes, in this thread. */
export async function decodeBytes(sharp: Sharp, bytes: Uint8Array, name: string, turn: boolean): Promise<Pixels> {
  const format = pictureFormat(bytes, name);
  try {
    if (format === "bmp") return decodeBmp(bytes, name);
    if (format === "pnm") return decodePnm(bytes, name);
    return await decodeBySharp(sharp, bytes, format, name, turn);
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    throw unreadable(name, decodingFault(cause), "an intact image", cause);
  }
}

/** What is no picture but a map of numbers, of one channel. */
export interface NumberMap<Values = Uint16Array | Float32Array> {
  /** Values in row-major order. */
  readonly values: Values;
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/**
 * The values of a PNG of one channel of 16 bits, which hold depth rather than colours.
 *
 * @param sharp The library
 * @param path The file
 * @throws OneloraError for any other file
 */
export async function decodeSixteen(sharp: Sharp, path: string): Promise<NumberMap<Uint16Array>> {
  return await decodeMap(sharp, path, "png") as NumberMap<Uint16Array>;
}

/**
 * The values of a TIFF of one channel of 16 bits or of floats in 32 bits, of several pages the first.
 *
 * @param sharp The library
 * @param path The file
 * @throws OneloraError for any other file
 */
export async function decodeTiffMap(sharp: Sharp, path: string): Promise<NumberMap> {
  return await decodeMap(sharp, path, "tiff");
}

async function decodeMap(sharp: Sharp, path: string, kind: MapFormat): Promise<NumberMap> {
  const bytes = await fileBytes(path);
  const apart = decoderApart();
  if (apart === undefined) return await decodeMapBytes(sharp, bytes, path, kind);
  return await apart.ask({ bytes, name: path, kind, turn: false }) as NumberMap;
}

/** Formats of maps. */
export type MapFormat = "png" | "tiff";

/** What is allowed of each, by the type of its values. */
const MAPS: Readonly<Record<MapFormat, readonly [types: readonly string[], words: string]>> = {
  png: [["ushort"], "an intact PNG of one channel of 16 bits"],
  tiff: [["ushort", "float"], "an intact TIFF of one channel of 16 bits, or of floats in 32"],
};

/** {@linkcode decodeSixteen} and {@linkcode decodeTiffMap} of a file's bytes, in this thread. */
export async function decodeMapBytes(
  sharp: Sharp,
  bytes: Uint8Array,
  path: string,
  kind: MapFormat,
): Promise<NumberMap> {
  const [types, allowed] = MAPS[kind];
  const format = pictureFormat(bytes, path);
  if (format !== kind) throw unreadable(path, format, allowed);
  try {
    if (format === "tiff") checkTiffNumbers(bytes, path);
    const { facts: { depth, channels, width, height }, picture } = await opened(sharp, bytes, format);
    checkPictureSize(width, height, path);
    if (!types.includes(depth) || channels !== 1) {
      throw unreadable(path, `${format} of ${channels} channels of ${depth}`, allowed);
    }
    return await inTurn(width * height, async () => {
      const isFloat = depth === "float";
      // Of numbers that are no colours, only this leaves what is beyond a colour's bounds.
      const plain = isFloat
        ? picture().pipelineColourspace("b-w").toColourspace("b-w").raw({ depth: "float" })
        : picture().toColourspace("grey16").raw({ depth: "ushort" });
      const { data, info: { height, width } } = await plain.toBuffer({ resolveWithObject: true });
      // A copy, because the decoder's bytes may start at an odd place.
      const { buffer } = data.slice();
      return { values: isFloat ? new Float32Array(buffer) : new Uint16Array(buffer), height, width };
    });
  } catch (cause) {
    if (cause instanceof OneloraError) throw cause;
    throw unreadable(path, decodingFault(cause), allowed, cause);
  }
}
