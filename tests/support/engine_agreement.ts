/**
 * Engines compared with plain JavaScript, case by case.
 *
 * @module
 */

import { assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { type BackendName, useBackend } from "../../dsl/engine/mod.ts";
import { type Case, modelCases, run } from "./engine_cases.ts";

/** Whether a backend works on this machine; a forced webgpu takes software adapters too. */
export async function working(name: BackendName): Promise<boolean> {
  try {
    return (await useBackend(name)).chosen === name;
  } catch (error) {
    console.log(`skipped: ${(error as Error).message}`);
    return false;
  }
}

/** The case's outputs on a backend are those on the cpu backend, and no tensor or buffer is left on either. */
export async function agrees(backend: BackendName, name: string, compute: Case): Promise<void> {
  await useBackend("cpu");
  const expected = await run(compute);
  await useBackend(backend);
  const before = { tensors: tf.memory().numTensors, buffers: tf.backend().numDataIds() };
  const actual = await run(compute);
  assertEquals({ tensors: tf.memory().numTensors, buffers: tf.backend().numDataIds() }, before, `${name} leaks`);
  assertEquals(actual.map((each) => each.shape), expected.map((each) => each.shape), name);
  actual.forEach(({ values }, output) =>
    values.forEach((value, i) => {
      const other = expected[output].values[i];
      if (typeof value === "string" || typeof other === "string") assertEquals(value, other, name);
      else assertAlmostEquals(value, other, 1e-4 * Math.max(1, Math.abs(other)), name);
    })
  );
}

/** Tests that a backend computes what models need as plain JavaScript does; skipped where it does not work. */
export function testModelCases(backend: BackendName, works: boolean): void {
  for (const [name, compute] of Object.entries(modelCases)) {
    Deno.test({
      name: `${backend} computes the value and gradients of ${name} as cpu does`,
      ignore: !works,
      fn: () => agrees(backend, name, compute),
    });
  }
}

/** Asserts that a named backend is taken and begins with no tensor. */
export async function assertTaken(name: BackendName): Promise<void> {
  const report = await useBackend(name);
  assertEquals([report.chosen, tf.getBackend()], [name, name]);
  assertEquals(report.tried.map((trial) => [trial.name, trial.works]), [[name, true]]);
  assertEquals(tf.memory().numTensors, 0);
}
