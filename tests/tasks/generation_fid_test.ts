import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError, openSafetensors } from "../../dsl/mod.ts";
import { type FeatureStatistics, frechetDistance, startFeatures, updateFeatures } from "../../tasks/generation/fid.ts";
import distances from "../fixtures/frechet/distances.json" with { type: "json" };

const FEATURES = fileOf(new URL("../fixtures/frechet/features.safetensors", import.meta.url));

/** Statistics of a fixture's features, fed in batches of some rows. */
async function statistics(name: string, rows: number): Promise<FeatureStatistics> {
  await using checkpoint = await openSafetensors(FEATURES);
  const { data, shape: [, size] } = await checkpoint.read(name);
  let state = startFeatures(size);
  for (let at = 0; at < data.length; at += rows * size) {
    state = updateFeatures(state, (data as Float32Array).subarray(at, at + rows * size));
  }
  return state;
}

for (const [name, expected] of Object.entries(distances)) {
  Deno.test(`the Fréchet distance of ${name} features equals scipy's`, async () => {
    const found = frechetDistance(await statistics(`${name}.first`, 7), await statistics(`${name}.second`, 11));
    assertAlmostEquals(found, expected, 1e-6 * expected);
  });
}

Deno.test("the distance does not depend on batches or on the order of the sets, and is 0 from a set to itself", async () => {
  for (const name of ["wide", "few", "flat"]) {
    const [whole, parts] = [await statistics(`${name}.first`, 1000), await statistics(`${name}.first`, 1)];
    const other = await statistics(`${name}.second`, 1000);
    const distance = frechetDistance(whole, other);
    assertAlmostEquals(frechetDistance(parts, other), distance, 1e-9 * distance);
    assertAlmostEquals(frechetDistance(other, whole), distance, 1e-9 * distance);
    assertLess(frechetDistance(whole, parts), 1e-9 * distance);
  }
});

Deno.test("large means cost no digits", () => {
  const values = Float32Array.from({ length: 64 }, (_, i) => ((i * 37) % 64) / 64);
  const shifted = values.map((value) => value + 4096);
  const of = (features: Float32Array) => {
    let state = startFeatures(2);
    for (let at = 0; at < 64; at += 8) state = updateFeatures(state, features.subarray(at, at + 8));
    return state;
  };
  assertAlmostEquals(frechetDistance(of(values), of(shifted)), 2 * 4096 ** 2, 1e-3);
  of(shifted).scatter.forEach((value, i) => assertAlmostEquals(value, of(values).scatter[i], 1e-9));
});

Deno.test("features without any spread have the distance of their means", () => {
  const constant = (value: number) => updateFeatures(startFeatures(3), new Float32Array(12).fill(value));
  assertEquals(frechetDistance(constant(1), constant(3)), 12);
  const before = constant(1);
  const copy = structuredClone(before);
  assertEquals(updateFeatures(before, new Float32Array(0)), copy);
  updateFeatures(before, Float32Array.of(9, 9, 9));
  assertEquals(before, copy, "states are values");
});

Deno.test("what is no set of features is refused", () => {
  const one = updateFeatures(startFeatures(2), Float32Array.of(1, 2));
  const two = updateFeatures(startFeatures(3), new Float32Array(6));
  assert(one.count === 1);
  assertThrows(() => frechetDistance(one, two), OneloraError, "found 1 and 2 images of 2 and 3 features");
  assertThrows(() => updateFeatures(one, Float32Array.of(1)), OneloraError, "found 1 numbers");
  assertThrows(() => updateFeatures(one, Float32Array.of(1, NaN)), OneloraError, "found feature NaN");
  assertThrows(() => startFeatures(0), OneloraError, "allowed: 1 or more");
});
