/**
 * VeRA's projections as PEFT makes them where a file has only the seed: PyTorch's uniform numbers on the CPU, which are the
 * Mersenne Twister's (Matsumoto and Nishimura 1998), 24 bits of each 32.
 *
 * @module
 */
import type { HostTensor } from "../../dsl/safetensors/mod.ts";

const SIZE = 624;
const SHIFT = 397;

/** MT19937 of a seed: 32 random bits a call. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(SIZE);
  state[0] = seed % 2 ** 32;
  for (let i = 1; i < SIZE; i++) {
    state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  }
  let next = SIZE;
  const twist = () => {
    for (let i = 0; i < SIZE; i++) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % SIZE] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    next = 0;
  };
  return () => {
    if (next === SIZE) twist();
    let bits = state[next++];
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  };
}

/**
 * A [r, max k], then B [max d, r], of one generator: Kaiming uniform, U(±sqrt(6 / fan_in)), as PEFT's `_kaiming_init`.
 *
 * @param seed `projection_prng_key`
 * @param shapes Dimensions of A and B
 */
export function veraProjections(
  seed: number,
  shapes: readonly [A: readonly number[], B: readonly number[]],
): readonly [A: HostTensor, B: HostTensor] {
  const random = mersenneTwister(seed);
  const drawn = (shape: readonly number[]): HostTensor => {
    const [rows, columns] = shape;
    const bound = Math.fround(Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(columns)));
    const range = Math.fround(bound + bound);
    const uniform = () => Math.fround(Math.fround((random() % 2 ** 24) / 2 ** 24) * range);
    return { dtype: "F32", shape, data: Float32Array.from({ length: rows * columns }, () => uniform() - bound) };
  };
  const A = drawn(shapes[0]);
  return [A, drawn(shapes[1])];
}
