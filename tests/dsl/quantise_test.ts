import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import { dequantised, DYNAMIC_VALUES, layoutOf, quantise } from "../../dsl/quantise.ts";
import { openSafetensors, toFloat32 } from "../../dsl/safetensors/mod.ts";

/** What `scripts/tools/reference/quantised.py` wrote. */
const path = fileOf(new URL("../fixtures/quantised.safetensors", import.meta.url));
const file = await openSafetensors(path);
const tensors = new Map<string, ArrayLike<number>>();
for (const name of file.names) tensors.set(name, (await file.read(name)).data as unknown as ArrayLike<number>);
const { shape } = file.info("weight");
const weight = toFloat32(await file.read("weight"));
await file.close();
const read = (name: string) => tensors.get(name)!;

function differing(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 0): number {
  assertEquals(found.length, expected.length);
  return Array.from(found).filter((value, i) => !(Math.abs(value - expected[i]) <= tolerance)).length;
}

Deno.test("nf4 is bitsandbytes' own: codes, maxima, their maxima and mean, and the numbers that they stand for", () => {
  assert(differing(DYNAMIC_VALUES, read("nf4.map"), 1e-7) === 0);
  const quantised = quantise("nf4", shape, weight);
  const { scales: [, count], maxima: [atMaxima, blocks], codes: [at, length], bytes } = layoutOf("nf4", shape);
  assertEquals(quantised.bytes.length, bytes);
  const scales = new Float32Array(quantised.bytes.buffer, 0, count);
  assertEquals(differing(scales.slice(0, 1), read("nf4.offset"), 1e-8), 0);
  assertEquals(differing(scales.slice(1), read("nf4.outer"), 1e-8), 0);
  assertEquals(differing(quantised.bytes.slice(atMaxima, atMaxima + blocks), read("nf4.absmax")), 0);
  // bitsandbytes has two neighbours in a byte, the first in its high bits; here they are halves of the matrix.
  const codes = quantised.bytes.slice(at, at + length);
  const ours = Array.from({ length: 2 * length }, (_, i) => i < length ? codes[i] & 15 : codes[i - length] >> 4);
  const theirs = Array.from(read("nf4.codes")).flatMap((byte) => [byte >> 4, byte & 15]);
  assertEquals(differing(ours, theirs), 0);
  assertEquals(differing(dequantised(quantised), read("nf4.values"), 1e-7), 0);
});

Deno.test("int8 is bitsandbytes' own: rows of whole numbers and a scale", () => {
  const quantised = quantise("int8", shape, weight);
  const { codes: [at] } = layoutOf("int8", shape);
  const codes = Array.from(quantised.bytes.slice(at), (byte) => byte - 128);
  assertEquals(differing(codes, read("int8.codes")), 0);
  assertEquals(differing(dequantised(quantised), read("int8.values"), 1e-7), 0);
});

Deno.test("what does not come in whole blocks is refused", () => {
  assertThrows(() => quantise("nf4", [3, 64], new Float32Array(192)), OneloraError, "a matrix of shape [3,64]");
  assertThrows(() => quantise("int8", [4], new Float32Array(4)), OneloraError, "a tensor of shape [4]");
});
