import { assertEquals, assertStrictEquals } from "@std/assert";
import {
  type DType,
  dtypes,
  fromBfloat16,
  fromFloat16,
  type HostTensor,
  itemSize,
  toBfloat16,
  toFloat16,
  toFloat32,
} from "../../dsl/safetensors/mod.ts";

const everyPattern = Uint16Array.from({ length: 65536 }, (_, pattern) => pattern);

/** What 16 bits stand for: sign x 2^exponent x fraction, written from the definition. */
function value(pattern: number, exponentBits: number): number {
  const mantissaBits = 15 - exponentBits;
  const sign = pattern >>> 15 === 1 ? -1 : 1;
  const exponent = (pattern >>> mantissaBits) & (2 ** exponentBits - 1);
  const fraction = (pattern & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? 2 ** (1 - bias) * fraction : 2 ** (exponent - bias) * (1 + fraction));
}

/** First index at which two arrays differ (NaN equals NaN, 0 differs from -0), or -1. */
function firstDifference(actual: Float32Array, expected: Float32Array): number {
  return actual.findIndex((each, i) => !Object.is(each, expected[i]));
}

for (
  const [name, exponentBits, widen, narrow] of [["F16", 5, fromFloat16, toFloat16], [
    "BF16",
    8,
    fromBfloat16,
    toBfloat16,
  ]] as const
) {
  Deno.test(`all 65,536 ${name} patterns become the float that they stand for, and come back`, () => {
    const floats = widen(everyPattern);
    assertEquals(firstDifference(floats, Float32Array.from(everyPattern, (each) => value(each, exponentBits))), -1);
    const back = narrow(floats);
    assertEquals(everyPattern.findIndex((each, i) => each !== back[i] && !Number.isNaN(floats[i])), -1);
    assertEquals(widen(back).findIndex((each, i) => Number.isNaN(each) !== Number.isNaN(floats[i])), -1);
  });

  Deno.test(`${name} rounds to the nearest and ties to even, between every two neighbours`, () => {
    const infinity = narrow(Float32Array.of(Infinity))[0];
    // The last finite pattern's upper neighbour is infinity: its midpoint is where finite numbers end.
    for (let lower = 0; lower < infinity - 1; lower++) {
      const [below, above] = widen(Uint16Array.of(lower, lower + 1));
      const middle = new Uint32Array(Float32Array.of((below + above) / 2).buffer)[0];
      const beside = new Float32Array(Uint32Array.of(middle - 1, middle, middle + 1).buffer);
      const expected = Uint16Array.of(lower, lower + lower % 2, lower + 1);
      assertEquals(narrow(beside), expected, `between ${below} and ${above}`);
    }
  });
}

Deno.test("what lies beyond the largest F16 becomes infinity from 65520 on, and a NaN stays one", () => {
  const values = Float32Array.of(65504, 65519.996, 65520, -65520, 1e38, -Infinity, NaN);
  assertEquals(toFloat16(values), Uint16Array.of(0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0xfc00, 0x7e00));
  const nans = new Float32Array(Uint32Array.of(0x7f800001, 0xffffffff, 0x7fc00000).buffer);
  assertEquals(toBfloat16(nans), Uint16Array.of(0x7fc0, 0x7fc0, 0x7fc0));
  assertEquals(toBfloat16(Float32Array.of(3.4e38, -3.4e38)), Uint16Array.of(0x7f80, 0xff80));
});

Deno.test("views into a larger buffer convert like arrays of their own", () => {
  const halves = Uint16Array.of(9, 0x3c00, 0xc100, 9).subarray(1, 3);
  assertEquals(fromFloat16(halves), Float32Array.of(1, -2.5));
  const floats = Float32Array.of(9, 1, -2.5, 9).subarray(1, 3);
  assertEquals(toFloat16(floats), Uint16Array.of(0x3c00, 0xc100));
  assertEquals(toBfloat16(floats), Uint16Array.of(0x3f80, 0xc020));
});

Deno.test("every element type becomes 32-bit floats", () => {
  const ones: readonly HostTensor[] = [
    { dtype: "F64", shape: [2], data: Float64Array.of(1, 0.1) },
    { dtype: "F32", shape: [2], data: Float32Array.of(1, 0.1) },
    { dtype: "F16", shape: [2], data: Uint16Array.of(0x3c00, 0x2e66) },
    { dtype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0x3dcd) },
    { dtype: "I64", shape: [2], data: BigInt64Array.of(1n, -(2n ** 40n)) },
    { dtype: "I32", shape: [2], data: Int32Array.of(1, -5) },
    { dtype: "I16", shape: [2], data: Int16Array.of(1, -5) },
    { dtype: "I8", shape: [2], data: Int8Array.of(1, -5) },
    { dtype: "U64", shape: [2], data: BigUint64Array.of(1n, 2n ** 63n) },
    { dtype: "U32", shape: [2], data: Uint32Array.of(1, 2 ** 31) },
    { dtype: "U16", shape: [2], data: Uint16Array.of(1, 65535) },
    { dtype: "U8", shape: [2], data: Uint8Array.of(1, 255) },
    { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) },
  ];
  const seconds = [0.1, 0.1, 0.0999755859375, 0.10009765625, -(2 ** 40), -5, -5, -5, 2 ** 63, 2 ** 31, 65535, 255, 0];
  ones.forEach((host, i) => assertEquals(toFloat32(host), Float32Array.of(1, seconds[i]), host.dtype));
  assertStrictEquals(toFloat32(ones[1]), ones[1].data, "F32 is not copied");
  assertEquals(new Set(ones.map(({ dtype }) => dtype)), new Set(dtypes));
});

Deno.test("item sizes are those of the format, and types are listed widest first", () => {
  const bytes: Readonly<Record<DType, number>> = {
    U64: 8,
    I64: 8,
    F64: 8,
    F32: 4,
    U32: 4,
    I32: 4,
    BF16: 2,
    F16: 2,
    U16: 2,
    I16: 2,
    I8: 1,
    U8: 1,
    BOOL: 1,
  };
  assertEquals<readonly string[]>(dtypes, Object.keys(bytes));
  assertEquals(dtypes.map(itemSize), Object.values(bytes));
});
