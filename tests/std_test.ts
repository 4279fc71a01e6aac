import { AssertionError as NodeAssertionError, deepStrictEqual, rejects, strictEqual, throws } from "node:assert";
import * as std from "@std/assert";
import { parseArgs, type ParseOptions } from "@std/cli";

// The assertions are tested with node's, not with themselves.

/** Asserts that an assertion holds, or that it throws an AssertionError that says something. */
function verdict(holds: boolean, said: RegExp, assertion: () => unknown): void {
  if (holds) assertion();
  else throws(assertion, (error) => error instanceof std.AssertionError && said.test(error.message));
}

class Point {
  constructor(readonly x: number) {}
}
const cyclic = (x: number): unknown[] => {
  const list: unknown[] = [x];
  list.push(list);
  return list;
};

for (
  const [name, a, b, isEqual] of [
    ["numbers", 1, 1, true],
    ["different numbers", 1, 2, false],
    ["NaN", NaN, NaN, true],
    ["zeros of both signs", { a: [0] }, { a: [-0] }, true],
    ["a number and its text", 1, "1", false],
    ["null and undefined", null, undefined, false],
    ["nested objects", { a: [1, { b: new Set([1]) }] }, { a: [1, { b: new Set([1]) }] }, true],
    ["keys in another order", { a: 1, b: 2 }, { b: 2, a: 1 }, true],
    ["an undefined and a missing key", { a: undefined }, {}, false],
    ["an array and an object", [1], { 0: 1 }, false],
    ["objects with and without a prototype", Object.assign(Object.create(null), { a: 1 }), { a: 1 }, true],
    ["instances", new Point(1), new Point(1), true],
    ["different instances", new Point(1), new Point(2), false],
    ["an instance and an object", new Point(1), { x: 1 }, false],
    ["typed arrays", new Float32Array([0, NaN]), new Float32Array([-0, NaN]), true],
    ["different typed arrays", new Float32Array([1, 2]), new Float32Array([1, 3]), false],
    ["typed arrays of two kinds", new Float32Array([1]), new Float64Array([1]), false],
    ["maps", new Map([["a", -0]]), new Map([["a", 0]]), true],
    ["different maps", new Map([["a", 1]]), new Map([["a", 2]]), false],
    ["dates", new Date(NaN), new Date(NaN), true],
    ["different dates", new Date(1), new Date(2), false],
    ["patterns", /a/g, /a/g, true],
    ["patterns with other flags", /a/g, /a/, false],
    ["addresses", new URL("http://a/b"), new URL("http://a/c"), false],
    ["errors", new Error("a"), new Error("b"), false],
    ["cycles", cyclic(1), cyclic(1), true],
    ["different cycles", cyclic(1), cyclic(2), false],
  ] as const
) {
  Deno.test(`${name} are ${isEqual ? "" : "not "}equal`, () => {
    verdict(
      isEqual,
      /^Values are not equal\.\n\n {4}\[Diff\] \+ Actual \/ - Expected\n\n.*[^\n]/s,
      () => std.assertEquals<unknown>(a, b),
    );
    verdict(!isEqual, /^Expected actual: .* not to be: /s, () => std.assertNotEquals<unknown>(a, b));
  });
}

Deno.test("a difference is shown by its lines, and cut where it is long", () => {
  const message = (a: unknown, b: unknown) => {
    try {
      std.assertEquals(a, b, "why");
    } catch (error) {
      return (error as Error).message;
    }
    throw new NodeAssertionError({ message: "equal" });
  };
  const object = message({ a: 1, b: [1, 2] }, { a: 1, b: [1, 3] }).split("\n");
  strictEqual(object[0], "Values are not equal: why");
  deepStrictEqual(object.filter((line) => /^[+-] {2}/.test(line)), ["+     2", "-     3"]);
  deepStrictEqual(message("a\nb\nc", "a\nB\nc").split("\n").filter((line) => /^[+-] {2}/.test(line)), [
    "+   'b',",
    "-   'B',",
  ]);
  const long = message(new Float32Array(3000), new Float32Array(3000).fill(1)).split("\n");
  strictEqual(long.length < 100, true);
  strictEqual(/^\.\.\. \d+ more lines$/.test(long[long.length - 2]), true);
});

const same = { a: 1 };
const cases: readonly (readonly [name: string, assertion: () => unknown, holds: boolean, said?: RegExp])[] = [
  ["assert of something", () => std.assert(1), true],
  ["assert of nothing", () => std.assert("", "why"), false, /^why$/],
  ["fail", () => std.fail("why"), false, /^Failed assertion: why$/],
  ["unreachable", () => std.unreachable(), false, /^Unreachable\.$/],
  ["assertStrictEquals of one object", () => std.assertStrictEquals(same, same), true],
  ["assertStrictEquals of NaN", () => std.assertStrictEquals(NaN, NaN), true],
  ["assertStrictEquals of two objects", () => std.assertStrictEquals(same, { a: 1 }), false, /not reference-equal/],
  ["assertStrictEquals of 0 and -0", () => std.assertStrictEquals(0, -0), false, /not strictly equal/],
  ["assertNotStrictEquals of two objects", () => std.assertNotStrictEquals(same, { a: 1 }), true],
  ["assertNotStrictEquals of one object", () => std.assertNotStrictEquals(same, same), false, /not be strictly/],
  ["assertAlmostEquals at 1e-8 of the value", () => std.assertAlmostEquals(1e6, 1e6 + 0.01), true],
  ["assertAlmostEquals at 2e-7 of the value", () => std.assertAlmostEquals(1e6, 1e6 + 0.2), false, /to be close to/],
  ["assertAlmostEquals near 0", () => std.assertAlmostEquals(1e-8, 0), true],
  [
    "assertAlmostEquals far from 0",
    () => std.assertAlmostEquals(1e-6, 0),
    false,
    /delta "1e-6" is greater than "1e-7"/,
  ],
  ["assertAlmostEquals within a tolerance", () => std.assertAlmostEquals(1, 1.5, 0.5), true],
  ["assertAlmostEquals beyond a tolerance", () => std.assertAlmostEquals(1, 1.6, 0.5, "why"), false, /: why$/],
  ["assertAlmostEquals of NaN and a number", () => std.assertAlmostEquals(NaN, 1, 1), false, /NaN/],
  ["assertAlmostEquals of infinities", () => std.assertAlmostEquals(Infinity, Infinity), true],
  ["assertAlmostEquals of both infinities", () => std.assertAlmostEquals(-Infinity, Infinity), false, /Infinity/],
  ["assertExists of 0", () => std.assertExists(0), true],
  ["assertExists of null", () => std.assertExists(null), false, /to not be null or undefined\.$/],
  ["assertInstanceOf of an instance", () => std.assertInstanceOf(new Point(1), Point), true],
  ["assertInstanceOf of another", () => std.assertInstanceOf(new Date(0), Point), false, /"Point" but was "Date"\.$/],
  ["assertInstanceOf of null", () => std.assertInstanceOf(null, Point), false, /but was null/],
  ["assertStringIncludes of a part", () => std.assertStringIncludes("abc", "bc"), true],
  ["assertStringIncludes of no part", () => std.assertStringIncludes("abc", "d"), false, /"abc" to contain: "d"/],
  ["assertMatch of a match", () => std.assertMatch("abc", /b/), true],
  ["assertMatch of no match", () => std.assertMatch("abc", /d/), false, /to match: "\/d\/"/],
  ["assertNotMatch of no match", () => std.assertNotMatch("abc", /d/), true],
  ["assertNotMatch of a match", () => std.assertNotMatch("abc", /b/), false, /to not match/],
  ["assertGreater of a greater", () => std.assertGreater(2, 1), true],
  ["assertGreater of an equal", () => std.assertGreater(1, 1), false, /^Expect 1 > 1\.$/],
  ["assertGreaterOrEqual of an equal", () => std.assertGreaterOrEqual(1, 1), true],
  ["assertGreaterOrEqual of a lesser", () => std.assertGreaterOrEqual(0, 1), false, /^Expect 0 >= 1\.$/],
  ["assertLess of a lesser", () => std.assertLess(1, 2), true],
  ["assertLess of NaN", () => std.assertLess(NaN, 1), false, /^Expect NaN < 1\.$/],
  ["assertLessOrEqual of an equal", () => std.assertLessOrEqual(1, 1), true],
  ["assertLessOrEqual of a greater", () => std.assertLessOrEqual(2, 1), false, /^Expect 2 <= 1\.$/],
  ["assertArrayIncludes of parts", () => std.assertArrayIncludes([{ a: 1 }, 2, 3], [3, { a: 1 } as never]), true],
  ["assertArrayIncludes of others", () => std.assertArrayIncludes([1, 2], [2, 4]), false, /missing: \[ 4 \]/],
];
for (const [name, assertion, holds, said = /./] of cases) {
  Deno.test(`${name} ${holds ? "holds" : "throws"}`, () => verdict(holds, said, assertion));
}

Deno.test("a pattern that keeps its place matches twice", () => {
  const pattern = /b/g;
  std.assertMatch("abc", pattern);
  std.assertMatch("abc", pattern);
});

Deno.test("assertThrows gives back an error of the class whose message includes the text", () => {
  const bad = () => {
    throw new RangeError("out of range");
  };
  strictEqual(std.assertThrows(bad, RangeError, "of range").message, "out of range");
  strictEqual((std.assertThrows(bad) as Error).message, "out of range");
  strictEqual(std.assertThrows(bad, Error) instanceof RangeError, true);
  verdict(
    false,
    /^Expected error to be instance of "TypeError", but was "RangeError"/,
    () => std.assertThrows(bad, TypeError),
  );
  verdict(
    false,
    /include "else", but got "out of range": why$/,
    () => std.assertThrows(bad, RangeError, "else", "why"),
  );
  verdict(false, /^Expected function to throw: why$/, () => std.assertThrows(() => {}, "why"));
});

Deno.test("assertRejects gives back the reason of an awaited rejection, and takes no exception for one", async () => {
  const bad = () => Promise.reject(new RangeError("out of range"));
  strictEqual((await std.assertRejects(bad, RangeError, "of range")).message, "out of range");
  strictEqual(await std.assertRejects(() => Promise.reject(3)), 3);
  const fails = (assertion: () => Promise<unknown>, said: RegExp) =>
    rejects(assertion, (error) => error instanceof std.AssertionError && said.test(error.message));
  await fails(() => std.assertRejects(bad, TypeError), /^Expected error to be instance of "TypeError"/);
  await fails(() => std.assertRejects(() => Promise.reject(3), Error), /^A non-Error object was rejected\.$/);
  await fails(() => std.assertRejects(() => Promise.resolve(1), "why"), /^Expected function to reject: why$/);
  await fails(
    () =>
      std.assertRejects(() => {
        throw new RangeError("at once");
      }),
    /^Function throws when expected to reject\.$/,
  );
});

const options: ParseOptions = {
  string: ["rank", "name"],
  boolean: ["shuffle", "help"],
  collect: "name",
  negatable: "shuffle",
  alias: { help: "h" },
};
const none = { _: [], shuffle: false, help: false, h: false, name: [] };
for (
  const [args, parsed] of [
    [[], none],
    [["--rank", "2", "in.txt", "7"], { ...none, rank: "2", _: ["in.txt", 7] }],
    [["--rank=02"], { ...none, rank: "02" }],
    [["--rank"], { ...none, rank: "" }],
    [["--rank", "--help"], { ...none, rank: "", help: true, h: true }],
    [["--rank", "1", "--rank", "2"], { ...none, rank: "2" }],
    [["--name", "a", "--name=b"], { ...none, name: ["a", "b"] }],
    [["--shuffle"], { ...none, shuffle: true }],
    [["--shuffle", "false", "x"], { ...none, shuffle: false, _: ["x"] }],
    [["--shuffle=false"], none],
    [["--shuffle", "x"], { ...none, shuffle: true, _: ["x"] }],
    [["--shuffle", "--no-shuffle"], none],
    [["-h"], { ...none, help: true, h: true }],
    [["-ab"], { ...none, a: true, b: true }],
    [["--other", "3"], { ...none, other: 3 }],
    [["--other=1e-3", "--text=x"], { ...none, other: 1e-3, text: "x" }],
    [["-", "--", "--rank", "2"], { ...none, _: ["-", "--rank", "2"] }],
  ] as const
) {
  Deno.test(`parseArgs reads ${JSON.stringify(args)}`, () => deepStrictEqual(parseArgs(args, options), parsed));
}

Deno.test("parseArgs takes defaults, hands over the unknown and keeps what follows two dashes", () => {
  const unknown: unknown[] = [];
  const parsed = parseArgs(["--rnk=2", "x", "--help", "--", "y"], {
    ...options,
    "--": true,
    default: { rank: "1", shuffle: true },
    unknown: (...all) => {
      unknown.push(all);
      return false;
    },
  });
  deepStrictEqual(parsed, { ...none, help: true, h: true, rank: "1", shuffle: true, "--": ["y"] });
  deepStrictEqual(unknown, [["--rnk=2", "rnk", "2"], ["x"]]);
});
