/**
 * Weights in 8 and 4 bits, as numbers in plain memory: what a quantised matrix is, how one is made, and what it stands for.
 *
 * `int8` (Dettmers et al. 2022): each row w in whole numbers, q = round(127 w / max|w|). `nf4` (QLoRA, Dettmers et al.
 * 2023): blocks of 64 in NormalFloat4, q = nearest of its 16 values to w / max|w|; the maxima themselves, less their mean,
 * in blocks of 256 in 8-bit dynamic floats. Both as bitsandbytes defines them.
 *
 * @module
 */
import { type BlockForm, blockLayout, isBlockForm } from "./blocks.ts";
import { fromBlockParts, fromBlocks } from "./block_conversion.ts";
import { OneloraError } from "./error.ts";
import { sizeOf } from "./tree.ts";

/** Forms of quantised weights. */
export const quantisations = ["int8", "nf4"] as const;

/** Name of a form. */
export type Quantisation = typeof quantisations[number];

/** Numbers in a block of nf4. */
export const NF4_BLOCK = 64;
/** Maxima in a block of them. */
export const NF4_OUTER_BLOCK = 256;

/** NormalFloat4's values (QLoRA, appendix E). */
export const NF4_VALUES: Float32Array = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/**
 * The 256 values of 8-bit dynamic floats (Dettmers 2015): for each of 7 decimal exponents, twice as many fractions as for the
 * one before, midway in 2, 4, 8, ... equal parts of 0.1 to 1; their negatives; 0 and 1.
 */
export const DYNAMIC_VALUES: Float32Array = dynamicValues();

function dynamicValues(): Float32Array {
  const values = [0, 1];
  for (let exponent = 0; exponent < 7; exponent++) {
    const count = 2 ** exponent;
    // As PyTorch's linspace in float32.
    const bounds = Array.from({ length: count + 1 }, (_, i) => Math.fround(0.1 + 0.9 * i / count));
    for (let i = 0; i < count; i++) {
      const value = Math.fround((bounds[i] + bounds[i + 1]) / 2 * 10 ** (exponent - 6));
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

/** A matrix in fewer bits. */
export interface Quantised {
  /** Its form. */
  readonly form: Quantisation | BlockForm;
  /** Dimensions of what it stands for. */
  readonly shape: readonly number[];
  /**
   * All that it is, little-endian. int8: float32 max|w| / 127 of each row, then q + 128 of each number. nf4: float32 mean of
   * the maxima, float32 max of each outer block, one byte each maximum, then of each byte the low four bits a number of the
   * first half, the high ones its counterpart in the second. In ggml's blocks: these, row by row, as files have them.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Where the parts of the bytes begin. */
export interface Layout {
  /** Numbers that scales are computed from: how many, and where. */
  readonly scales: readonly [at: number, count: number];
  /** nf4: the maxima's own codes. */
  readonly maxima: readonly [at: number, count: number];
  /** The numbers' codes. */
  readonly codes: readonly [at: number, count: number];
  /** Bytes in all. */
  readonly bytes: number;
}

/**
 * Where the parts of a quantised matrix are.
 *
 * @param form Its form
 * @param shape Its dimensions
 */
export function layoutOf(form: Quantisation, shape: readonly number[]): Layout {
  const size = sizeOf(shape);
  const blocks = form === "nf4" ? size / NF4_BLOCK : 0;
  const scales = form === "nf4" ? 1 + Math.ceil(blocks / NF4_OUTER_BLOCK) : shape[0];
  const at = scales * 4 + blocks;
  const codes = form === "nf4" ? size / 2 : size;
  return { scales: [0, scales], maxima: [scales * 4, blocks], codes: [at, codes], bytes: at + codes };
}

/**
 * Bytes of a quantised matrix.
 *
 * @param form Its form
 * @param shape Its dimensions
 */
export function quantisedBytes(form: Quantisation | BlockForm, shape: readonly number[]): number {
  return isBlockForm(form) ? blockLayout(form, shape).bytes : layoutOf(form, shape).bytes;
}

/**
 * Why a matrix cannot be of a form, if it cannot.
 *
 * @param form The form
 * @param shape Its dimensions
 */
function unfitFor(form: Quantisation, shape: readonly number[]): string | undefined {
  if (shape.length !== 2) return `a tensor of shape [${shape}]`;
  if (form === "nf4" && sizeOf(shape) % (2 * NF4_BLOCK) !== 0) return `a matrix of shape [${shape}]`;
}

/** The nearest of sorted values, the upper one of two as near. */
function nearestIn(values: Float32Array): (value: number) => number {
  const borders = Float64Array.from({ length: values.length - 1 }, (_, i) => (values[i] + values[i + 1]) / 2);
  return (value) => {
    let [low, high] = [0, borders.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value > borders[middle]) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

const nearestNf4 = nearestIn(NF4_VALUES);
const nearestDynamic = nearestIn(DYNAMIC_VALUES);

function largest(values: Float32Array, from: number, to: number): number {
  let max = 0;
  for (let i = from; i < to; i++) max = Math.max(max, Math.abs(values[i]));
  return max;
}

/**
 * A matrix in fewer bits.
 *
 * @param form Its form
 * @param shape [d, k]; for nf4 d k is a multiple of 128
 * @param values d k numbers
 * @throws OneloraError for another shape
 */
export function quantise(form: Quantisation, shape: readonly number[], values: Float32Array): Quantised {
  const unfit = unfitFor(form, shape);
  if (unfit !== undefined) {
    const allowed = form === "nf4" ? `matrices of a multiple of ${2 * NF4_BLOCK} numbers` : "matrices";
    throw new OneloraError({ attempted: `quantising to ${form}`, found: unfit, allowed });
  }
  const { scales: [, count], maxima: [atMaxima], codes: [at], bytes: length } = layoutOf(form, shape);
  const bytes = new Uint8Array(length);
  const scales = new Float32Array(bytes.buffer, 0, count);
  if (form === "int8") {
    const [rows, width] = shape;
    for (let row = 0; row < rows; row++) {
      const max = largest(values, row * width, (row + 1) * width);
      scales[row] = max / 127;
      const factor = max === 0 ? 0 : Math.fround(127 * Math.fround(1 / max)); // as PyTorch divides
      for (let i = row * width; i < (row + 1) * width; i++) {
        bytes[at + i] = roundEven(Math.fround(values[i] * factor)) + 128;
      }
    }
    return { form, shape, bytes };
  }
  const blocks = values.length / NF4_BLOCK;
  const maxima = Float32Array.from(
    { length: blocks },
    (_, block) => largest(values, block * NF4_BLOCK, (block + 1) * NF4_BLOCK),
  );
  const half = values.length / 2;
  for (let block = 0; block < blocks; block++) {
    const inverse = maxima[block] === 0 ? 0 : Math.fround(1 / maxima[block]);
    for (let i = block * NF4_BLOCK; i < (block + 1) * NF4_BLOCK; i++) {
      const code = nearestNf4(Math.fround(values[i] * inverse));
      if (i < half) bytes[at + i] |= code;
      else bytes[at + i - half] |= code << 4;
    }
  }
  scales[0] = maxima.reduce((sum, max) => sum + max, 0) / blocks;
  const centred = maxima.map((max) => max - scales[0]);
  for (let outer = 0; outer + 1 < count; outer++) {
    const [from, to] = [outer * NF4_OUTER_BLOCK, Math.min(blocks, (outer + 1) * NF4_OUTER_BLOCK)];
    const max = scales[1 + outer] = largest(centred, from, to);
    const inverse = max === 0 ? 0 : Math.fround(1 / max);
    for (let i = from; i < to; i++) bytes[atMaxima + i] = nearestDynamic(Math.fround(centred[i] * inverse));
  }
  return { form, shape, bytes };
}

/** To the nearest whole number, ties to even. */
function roundEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * What a quantised matrix stands for, in float32.
 *
 * @param quantised The matrix
 */
export function dequantised({ form, shape, bytes }: Quantised): Float32Array {
  if (isBlockForm(form)) return fromBlockParts(form, shape, fromBlocks(form, shape, bytes));
  const { scales: [, count], maxima: [atMaxima], codes: [at] } = layoutOf(form, shape);
  const scales = new Float32Array(bytes.buffer, bytes.byteOffset, count);
  const values = new Float32Array(sizeOf(shape));
  if (form === "int8") {
    const width = shape[1];
    for (let i = 0; i < values.length; i++) values[i] = (bytes[at + i] - 128) * scales[Math.floor(i / width)];
    return values;
  }
  const half = values.length / 2;
  for (let block = 0; block < values.length / NF4_BLOCK; block++) {
    const outer = scales[1 + Math.floor(block / NF4_OUTER_BLOCK)];
    const max = Math.fround(Math.fround(DYNAMIC_VALUES[bytes[atMaxima + block]] * outer) + scales[0]);
    for (let i = block * NF4_BLOCK; i < (block + 1) * NF4_BLOCK; i++) {
      const code = i < half ? bytes[at + i] & 15 : bytes[at + i - half] >> 4;
      values[i] = NF4_VALUES[code] * max;
    }
  }
  return values;
}
