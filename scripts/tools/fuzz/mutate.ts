/**
 * Files that are nearly right: seeds with some bytes changed.
 *
 * @module
 */

/** Whole numbers from 0 to below a bound. */
export type Chance = (bound: number) => number;

/**
 * Chances that a seed decides (mulberry32).
 *
 * @param seed Any whole number
 */
export function chances(seed: number): Chance {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ state >>> 15, state | 1);
    word ^= word + Math.imul(word ^ word >>> 7, word | 61);
    return ((word ^ word >>> 14) >>> 0) % bound;
  };
}

/** Numbers that bounds are forgotten for. */
const NUMBERS = [0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2 ** 31 - 1, -(2 ** 31), 2 ** 32 - 1];
/** Pieces of text that parsers stumble over. */
const TEXTS = [
  ...["{", "}", "[", "]", '"', "\\", ":", ",", "-", "1e999", "NaN", "null", "\u0000", "\u001b[2J", "../", "/dev/zero"],
  ...["9007199254740993", "-1", "2.5", "1e5", "[[[[[[", "true", '"\\ud800"', "&a *a", "(a+)+$", "__proto__"],
].map((text) => new TextEncoder().encode(text));

function spliced(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array<ArrayBuffer> {
  const end = Math.min(bytes.length, at + removed);
  const result = new Uint8Array(at + added.length + bytes.length - end);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(bytes.subarray(end), at + added.length);
  return result;
}

/** One change. */
function changed(bytes: Uint8Array, chance: Chance): Uint8Array<ArrayBuffer> {
  const at = chance(bytes.length + 1);
  switch (chance(8)) {
    case 0:
    case 1:
    case 2: {
      const copy = Uint8Array.from(bytes);
      if (at < copy.length) copy[at] ^= 1 << chance(8);
      return copy;
    }
    case 3: {
      const [number, size] = [NUMBERS[chance(NUMBERS.length)], [1, 2, 4, 8][chance(4)]];
      const word = new Uint8Array(8);
      new DataView(word.buffer).setBigInt64(0, BigInt(number), chance(2) === 0);
      return spliced(bytes, at, size, word.subarray(0, size));
    }
    case 4:
      return spliced(bytes, at, chance(2) * chance(16), TEXTS[chance(TEXTS.length)]);
    case 5:
      return spliced(bytes, at, 1 + chance(64), new Uint8Array(0));
    case 6: {
      const from = chance(bytes.length + 1);
      return spliced(bytes, at, 0, bytes.slice(from, from + 1 + chance(64)));
    }
    default:
      return Uint8Array.from(bytes.subarray(0, at));
  }
}

/**
 * A file with one to four changes.
 *
 * @param bytes The file
 * @param chance What decides
 */
export function mutated(bytes: Uint8Array, chance: Chance): Uint8Array<ArrayBuffer> {
  let result = changed(bytes, chance);
  for (let more = chance(4); more > 0; more--) result = changed(result, chance);
  return result;
}
