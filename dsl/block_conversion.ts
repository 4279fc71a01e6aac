/**
 * Numbers from and to ggml's blocks: what a file has, its parts apart, and float32.
 *
 * @module
 */
import { type BlockForm, blockKind, blockLayout, BLOCKS, type Span, unfitForBlocks } from "./blocks.ts";
import { OneloraError } from "./error.ts";
import { sizeOf } from "./tree.ts";

/** Six-bit scales and minima of a block's eight groups, from twelve bytes. */
function sixBits(bytes: Uint8Array, at: number, scales: Uint8Array, minima: Uint8Array, to: number): void {
  for (let j = 0; j < 4; j++) {
    const [a, b, c] = [bytes[at + j], bytes[at + j + 4], bytes[at + j + 8]];
    scales[to + j] = a & 63;
    minima[to + j] = b & 63;
    scales[to + j + 4] = c & 15 | a >> 6 << 4;
    minima[to + j + 4] = c >> 4 | b >> 6 << 4;
  }
}

/** Takes a block's numbers apart: q of each into `codes`. */
type Codes = (bytes: Uint8Array, at: number, codes: Uint8Array) => void;

/** Two runs of numbers in the halves of some bytes. */
function nibbles(bytes: Uint8Array, at: number, count: number, codes: Uint8Array, first: number, second: number): void {
  for (let i = 0; i < count; i++) {
    codes[first + i] = bytes[at + i] & 15;
    codes[second + i] = bytes[at + i] >> 4;
  }
}

/** The fifth bits of 32 numbers. */
function fifths(bytes: Uint8Array, at: number, codes: Uint8Array): void {
  for (let i = 0; i < 32; i++) codes[i] |= (bytes[at + (i >> 3)] >> (i & 7) & 1) << 4;
}

const CODES: Readonly<Record<BlockForm, Codes>> = {
  q4_0: (bytes, at, codes) => nibbles(bytes, at + 2, 16, codes, 0, 16),
  q4_1: (bytes, at, codes) => nibbles(bytes, at + 4, 16, codes, 0, 16),
  q5_0: (bytes, at, codes) => {
    nibbles(bytes, at + 6, 16, codes, 0, 16);
    fifths(bytes, at + 2, codes);
  },
  q5_1: (bytes, at, codes) => {
    nibbles(bytes, at + 8, 16, codes, 0, 16);
    fifths(bytes, at + 4, codes);
  },
  q8_0: (bytes, at, codes) => {
    for (let i = 0; i < 32; i++) codes[i] = bytes[at + 2 + i] ^ 128;
  },
  q4_k: (bytes, at, codes) => {
    for (let part = 0; part < 4; part++) nibbles(bytes, at + 16 + 32 * part, 32, codes, 64 * part, 64 * part + 32);
  },
  q5_k: (bytes, at, codes) => {
    for (let part = 0; part < 4; part++) {
      nibbles(bytes, at + 48 + 32 * part, 32, codes, 64 * part, 64 * part + 32);
      for (let i = 0; i < 32; i++) {
        const bits = bytes[at + 16 + i] >> 2 * part;
        codes[64 * part + i] |= (bits & 1) << 4;
        codes[64 * part + 32 + i] |= (bits & 2) << 3;
      }
    }
  },
  q6_k: (bytes, at, codes) => {
    for (const part of [0, 1]) {
      nibbles(bytes, at + 64 * part, 64, codes, 128 * part, 128 * part + 64);
      for (let i = 0; i < 32; i++) {
        const bits = bytes[at + 128 + 32 * part + i];
        for (let k = 0; k < 4; k++) codes[128 * part + 32 * k + i] |= (bits >> 2 * k & 3) << 4;
      }
    }
  },
};

/** Where in a block of a file the halves of d and of the minimum are. */
function halvesAt(form: BlockForm): readonly [scale: number, minimum: number] {
  return form === "q6_k" ? [208, 0] : [0, 2];
}

/**
 * Refuses bytes that are no matrix in blocks.
 *
 * @param form The form
 * @param shape [d, k], k a multiple of the block
 * @param file Its blocks, row by row
 * @throws OneloraError for another shape or number of bytes
 */
export function requireBlocks(form: BlockForm, shape: readonly number[], file: Uint8Array): void {
  const { size, bytes } = blockKind(form);
  const unfit = unfitForBlocks(form, shape) ??
    (file.length === sizeOf(shape) / size * bytes ? undefined : `${file.length} bytes of [${shape}]`);
  if (unfit === undefined) return;
  const allowed = `rows of whole blocks of ${size} numbers in ${bytes} bytes`;
  throw new OneloraError({ attempted: `reading weights in ${form}`, found: unfit, allowed });
}

/**
 * A matrix in blocks as a file has it, with each part of all blocks together.
 *
 * @param form Its form
 * @param shape [d, k], k a multiple of the block
 * @param file Its blocks, row by row
 * @throws OneloraError for another shape or number of bytes
 */
export function fromBlocks(form: BlockForm, shape: readonly number[], file: Uint8Array): Uint8Array<ArrayBuffer> {
  requireBlocks(form, shape, file);
  const { size, bytes: each, group, low, high, minimum, scales } = blockKind(form);
  const count = sizeOf(shape);
  const blocks = count / size;
  const layout = blockLayout(form, shape);
  const made = new Uint8Array(layout.bytes);
  const part = ([at, bytes]: Span) => made.subarray(at, at + bytes);
  const [d, e, s, m] = [layout.scales, layout.minima, layout.groupScales, layout.groupMinima].map(part);
  const [lows, highs] = [part(layout.low), part(layout.high)];
  const [ofScale, ofMinimum] = halvesAt(form);
  const codes = new Uint8Array(size);
  const take = CODES[form];
  const [half, portion] = [count / 2, count * high / 8];
  for (let block = 0; block < blocks; block++) {
    const at = block * each;
    d[2 * block] = file[at + ofScale];
    d[2 * block + 1] = file[at + ofScale + 1];
    if (minimum !== undefined) {
      e[2 * block] = file[at + ofMinimum];
      e[2 * block + 1] = file[at + ofMinimum + 1];
    }
    if (minimum === "subtracted") sixBits(file, at + 4, s, m, block * size / group);
    else if (scales === "signed") s.set(file.subarray(at + 192, at + 208), 16 * block);
    take(file, at, codes);
    const from = block * size;
    if (low === 8) lows.set(codes, from);
    else {
      for (let i = 0; i < size; i++) {
        const number = from + i;
        if (number < half) lows[number] |= codes[i] & 15;
        else lows[number - half] |= (codes[i] & 15) << 4;
        if (high > 0) {
          const which = Math.floor(number / portion);
          highs[number - which * portion] |= codes[i] >> 4 << which * high;
        }
      }
    }
  }
  return made;
}

/**
 * What a matrix in blocks stands for, in float32.
 *
 * @param form Its form
 * @param shape Its dimensions
 * @param bytes What {@linkcode fromBlocks} made of it
 */
export function fromBlockParts(form: BlockForm, shape: readonly number[], bytes: Uint8Array): Float32Array {
  const { size, group, low, high, offset, minimum, scales } = blockKind(form);
  const layout = blockLayout(form, shape);
  const part = ([at, count]: Span) => bytes.subarray(at, at + count);
  const halves = (span: Span) => new Float16Array(bytes.slice(span[0], span[0] + span[1]).buffer);
  const [d, e] = [halves(layout.scales), halves(layout.minima)];
  const [s, m, lows, highs] = [layout.groupScales, layout.groupMinima, layout.low, layout.high].map(part);
  const values = new Float32Array(sizeOf(shape));
  const [half, portion, mask] = [values.length / 2, values.length * high / 8, 2 ** high - 1];
  const { fround } = Math;
  for (let first = 0; first < values.length; first += group) {
    const [block, which] = [Math.floor(first / size), first / group];
    const scale = scales === undefined ? d[block] : fround(d[block] * toSigned(s, which, scales));
    const least = minimum === undefined ? 0 : minimum === "added" ? -e[block] : fround(e[block] * m[which]);
    for (let i = first; i < first + group; i++) {
      let code = low === 8 ? lows[i] : i < half ? lows[i] & 15 : lows[i - half] >> 4;
      if (high > 0) {
        const k = Math.floor(i / portion);
        code |= (highs[i - k * portion] >> k * high & mask) << 4;
      }
      values[i] = fround(scale * (code - offset)) - least;
    }
  }
  return values;
}

/** A scale of a byte. */
function toSigned(scales: ArrayLike<number>, i: number, kind: "unsigned" | "signed"): number {
  return kind === "signed" ? scales[i] << 24 >> 24 : scales[i];
}

/**
 * A matrix in blocks of q8_0, as a file has it: d = max|w| / 127, q = round(w / d).
 *
 * @param shape [d, k], k a multiple of 32
 * @param values d k numbers
 * @throws OneloraError for another shape
 */
export function toQ8Blocks(shape: readonly number[], values: Float32Array): Uint8Array<ArrayBuffer> {
  const { size, bytes: each } = BLOCKS.q8_0;
  const unfit = unfitForBlocks("q8_0", shape);
  if (unfit !== undefined) {
    throw new OneloraError({
      attempted: "writing weights in q8_0",
      found: unfit,
      allowed: `rows of whole blocks of ${size}`,
    });
  }
  const { fround } = Math;
  const file = new DataView(new ArrayBuffer(values.length / size * each));
  for (let block = 0; block < values.length / size; block++) {
    let most = 0;
    for (let i = block * size; i < (block + 1) * size; i++) most = Math.max(most, Math.abs(values[i]));
    const scale = fround(most / 127);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    file.setFloat16(block * each, scale, true);
    for (let i = 0; i < size; i++) {
      const value = fround(values[block * size + i] * inverse);
      // Halves away from zero, as C rounds.
      file.setInt8(block * each + 2 + i, Math.sign(value) * Math.floor(Math.abs(value) + 0.5));
    }
  }
  return new Uint8Array(file.buffer);
}
