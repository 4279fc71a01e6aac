/**
 * Keyed random numbers: every draw is a pure function of a key, and keys are derived from names (a seed, a parameter's
 * path, an epoch), so results depend neither on order nor on history.
 *
 * The generator is Threefry-2x32 with 20 rounds (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
 *
 * @module
 */

/** A 64-bit key as two unsigned 32-bit words. */
export interface Key {
  /** High word. */
  readonly high: number;
  /** Low word. */
  readonly low: number;
}

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/**
 * The Threefry-2x32 block function with 20 rounds.
 *
 * @param key 64-bit key
 * @param x0 First counter word
 * @param x1 Second counter word
 * @returns Two random words, as a key
 */
export function threefry(key: Key, x0: number, x1: number): Key {
  const schedule = [key.high, key.low, (key.high ^ key.low ^ PARITY) >>> 0];
  let a = (x0 + schedule[0]) | 0;
  let b = (x1 + schedule[1]) | 0;
  for (let round = 0; round < 20; round++) {
    const rotation = ROTATIONS[round % 8];
    a = (a + b) | 0;
    b = ((b << rotation) | (b >>> (32 - rotation))) ^ a;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      a = (a + schedule[injection % 3]) | 0;
      b = (b + schedule[(injection + 1) % 3] + injection) | 0;
    }
  }
  return { high: a >>> 0, low: b >>> 0 };
}

/**
 * The key of a seed.
 *
 * @param seed A non-negative safe integer
 */
export function key(seed: number): Key {
  return { high: Math.floor(seed / 2 ** 32) >>> 0, low: seed >>> 0 };
}

const utf8 = new TextEncoder();

/**
 * A new key derived from a key and names, e.g. `fold(key(seed), "shuffle", epoch)`. Different names give independent keys.
 *
 * @param parent Key to derive from
 * @param names Strings or integers, in order
 */
export function fold(parent: Key, ...names: readonly (string | number)[]): Key {
  return names.reduce<Key>((derived, name) => {
    if (typeof name === "number") return threefry(derived, Math.floor(name / 2 ** 32) >>> 0, name >>> 0);
    const bytes = utf8.encode(name);
    // The length comes first, so that no name is the prefix of another and none collides with an integer.
    let hash = threefry(derived, 0xffffffff, bytes.length);
    for (let i = 0; i < bytes.length; i += 8) {
      const word = (at: number) =>
        ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) |
          ((bytes[at + 3] ?? 0) << 24)) >>>
        0;
      hash = threefry(hash, word(i), word(i + 4));
    }
    return hash;
  }, parent);
}

/**
 * `count` random 32-bit words: block i of the key's counter sequence.
 *
 * @param from Key
 * @param count How many
 */
export function bits(from: Key, count: number): Uint32Array {
  const out = new Uint32Array(count);
  for (let i = 0; i < count; i += 2) {
    const block = threefry(from, Math.floor(i / 2 ** 33), (i / 2) >>> 0);
    out[i] = block.high;
    if (i + 1 < count) out[i + 1] = block.low;
  }
  return out;
}

/**
 * `count` draws from U[0, 1) with 24 random bits each.
 *
 * @param from Key
 * @param count How many
 *
 * @example
 * ```ts
 * import { fold, key, uniform } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * assertEquals(uniform(fold(key(1), "a"), 3), uniform(fold(key(1), "a"), 3));
 * ```
 */
export function uniform(from: Key, count: number): Float32Array {
  return Float32Array.from(bits(from, count), (word) => (word >>> 8) * 2 ** -24);
}

/**
 * `count` draws from N(0, 1) by the Box-Muller transform: sqrt(-2 ln u) cos(2 pi v) and sqrt(-2 ln u) sin(2 pi v).
 *
 * @param from Key
 * @param count How many
 */
export function normal(from: Key, count: number): Float32Array {
  const words = bits(from, count + (count % 2));
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((words[i] + 1) * 2 ** -32));
    const angle = 2 * Math.PI * words[i + 1] * 2 ** -32;
    out[i] = radius * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

/**
 * A uniformly random order of 0..count-1 (Fisher-Yates).
 *
 * @param from Key
 * @param count How many
 */
export function permutation(from: Key, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  const words = bits(from, count);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(words[i] * 2 ** -32 * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
