/**
 * The kernel `DropoutMask`: the same numbers on every engine, in exact arithmetic of 32 bits. Where a step is one graph it is
 * made of that library's operations, see `compile/tensorflow/masking.ts`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { BackendName } from "./interface.ts";

/** The kernel's name. */
export const DROPOUT_MASK = "DropoutMask";

/** Multiplier of positions: 2^32 / golden ratio. */
export const STEP = 0x9e3779b9;
/** Shifts and multipliers of a mixing (C. Wellons, "Prospecting for hash functions", lowbias32). */
export const MIXING = { shifts: [16, 15, 16], factors: [0x7feb352d, 0x846ca68b] } as const;
/** Bits of a draw. */
export const DRAW_BITS = 24;

/** What the kernel is told; its input is `words`, int32 [2]. */
export interface MaskAttributes {
  /** Dimensions of the mask. */
  readonly shape: readonly number[];
  /** Two words of 32 bits, which the input's are combined with. */
  readonly salt: readonly [high: number, low: number];
  /** A number is dropped where its draw is below this: rate * 2^24. */
  readonly least: number;
}

// Taken apart once: lists are walked through at every call otherwise, which takes ten times as long as the arithmetic.
const [FIRST, SECOND, THIRD] = MIXING.shifts;
const [ONE, TWO] = MIXING.factors;

/** A 32-bit number with every bit depending on every bit of x. */
function mixed(x: number): number {
  const a = Math.imul(x ^ (x >>> FIRST), ONE);
  const b = Math.imul(a ^ (a >>> SECOND), TWO);
  return b ^ (b >>> THIRD);
}

/**
 * 1 with probability 1 - rate, else 0: of element i, 1 if mix(mix(i STEP + k0) + k1) >>> 8 is at least rate 2^24, with k = words
 * xor salt.
 *
 * @param words The step's words
 * @param attributes See {@linkcode MaskAttributes}
 */
function mask(words: ArrayLike<number>, { shape, salt, least }: MaskAttributes): Float32Array {
  const [first, second] = [words[0] ^ salt[0], words[1] ^ salt[1]];
  const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
  for (let i = 0; i < values.length; i++) {
    const draw = mixed((mixed((Math.imul(i, STEP) + first) | 0) + second) | 0) >>> (32 - DRAW_BITS);
    values[i] = draw >= least ? 1 : 0;
  }
  return values;
}

const backends: readonly BackendName[] = ["cpu", "wasm", "tensorflow", "webgpu"];

for (const backendName of backends) {
  tf.registerKernel({
    kernelName: DROPOUT_MASK,
    backendName,
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { shape: given, ...attributes } = attrs as unknown as MaskAttributes;
      const shape = [...given];
      const own = backend as tf.KernelBackend;
      // A webgpu backend too can read at once what has not been sent to the card yet, and nothing else reads the words.
      const words = own.readSync((inputs as tf.NamedTensorInfoMap).words!.dataId) as Int32Array;
      const values = mask(words, { shape, ...attributes });
      return { dataId: own.write(values, shape, "float32"), shape, dtype: "float32" };
    },
  });
}
