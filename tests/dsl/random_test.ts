import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import { bits, fold, key, normal, permutation, threefry, uniform } from "../../dsl/random.ts";

Deno.test("Threefry-2x32 of 20 rounds gives the words of Random123's kat_vectors", () => {
  const vectors = [
    [[0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
    [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    [[0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]],
  ] as const;
  for (const [[high, low], [x0, x1], words] of vectors) {
    const found = threefry({ high, low }, x0, x1);
    assertEquals([found.high, found.low], [...words]);
  }
});

Deno.test("words are the blocks of a key's counter, however many are asked for", () => {
  const first = threefry(key(7), 0, 0);
  const second = threefry(key(7), 0, 1);
  assertEquals([...bits(key(7), 3)], [first.high, first.low, second.high]);
  assertEquals(bits(key(7), 4).subarray(0, 3), bits(key(7), 3));
  // The words of a seed beyond 32 bits are another's.
  assertEquals(key(2 ** 32 + 7), { high: 1, low: 7 });
});

Deno.test("keys of different names differ: no name is the beginning of another, none is a number", () => {
  const root = key(1);
  const named = [["a"], ["b"], ["a", "b"], ["ab"], ["b", "a"], ["a\0"], [""], ["", ""], [97], [0], [0, 0], [2 ** 32]];
  const keys = named.map((names) => JSON.stringify(fold(root, ...names)));
  assertEquals(new Set(keys).size, named.length);
  assertEquals(fold(root, "a", 3), fold(fold(root, "a"), 3));
  assertNotEquals(fold(key(2), "a"), fold(root, "a"));
});

/** The mean of numbers, and of what becomes of them. */
const mean = (values: Float32Array, of: (value: number) => number = (value) => value) =>
  values.reduce((sum, value) => sum + of(value), 0) / values.length;

Deno.test("uniform draws fill [0, 1) evenly, normal ones have their moments", () => {
  const count = 2 ** 16;
  const even = uniform(key(3), count);
  assert(even.every((value) => value >= 0 && value < 1) && even.some((value) => value > 0.999));
  assertAlmostEquals(mean(even), 1 / 2, 0.005);
  assertAlmostEquals(mean(even, (value) => (value - 0.5) ** 2), 1 / 12, 0.002);
  const bell = normal(key(3), count);
  for (const [power, moment] of [[1, 0], [2, 1], [3, 0], [4, 3]]) {
    assertAlmostEquals(mean(bell, (value) => value ** power), moment, 0.1, `moment ${power}`);
  }
  assertAlmostEquals(mean(bell, (value) => Math.abs(value) < 1 ? 1 : 0), 0.6827, 0.01);
  assertEquals(normal(key(3), 5), normal(key(3), 6).subarray(0, 5));
});

Deno.test("every order is as likely as every other", () => {
  const times = new Map<string, number>();
  for (let i = 0; i < 4800; i++) {
    const order = `${permutation(fold(key(5), i), 4)}`;
    times.set(order, (times.get(order) ?? 0) + 1);
  }
  assertEquals(times.size, 24);
  const strange = [...times].filter(([, count]) => Math.abs(count - 200) > 60);
  assertEquals(strange, []);
  assertEquals([...permutation(key(5), 1000)].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
});
