import { assert, assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { type BackendName, backendNames, engineKind, inspectBackends, useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { borrowedCases, type Case, modelCases, run } from "../support/engine_cases.ts";

/** Backends of this machine; a forced webgpu takes software adapters too. */
async function working(name: BackendName): Promise<boolean> {
  try {
    return (await useBackend(name)).chosen === name;
  } catch (error) {
    console.log(`skipped: ${(error as Error).message}`);
    return false;
  }
}

/** The case's outputs on a backend are those on the cpu backend, and no tensor or buffer is left on either. */
async function agrees(backend: BackendName, name: string, compute: Case): Promise<void> {
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

const present = new Map<BackendName, boolean>();
for (const name of backendNames) present.set(name, await working(name));

for (const backend of backendNames.filter((name) => name !== "cpu")) {
  for (const [name, compute] of Object.entries(modelCases)) {
    Deno.test({
      name: `${backend} computes the value and gradients of ${name} as cpu does`,
      ignore: !present.get(backend),
      fn: () => agrees(backend, name, compute),
    });
  }
}

for (const [kernel, compute] of Object.entries(borrowedCases)) {
  Deno.test(`wasm borrows ${kernel} from cpu without a leak`, () => agrees("wasm", kernel, compute));
}

Deno.test("wasm has every kernel that cpu has", async () => {
  await useBackend("wasm");
  const [wasm, cpu] = ["wasm", "cpu"].map((name) => tf.getKernelsForBackend(name).map((each) => each.kernelName));
  assertEquals(cpu.filter((name) => !wasm.includes(name)), []);
});

Deno.test("a chosen backend is the one that computes, and memory starts empty", async () => {
  for (const name of backendNames.filter((each) => present.get(each))) {
    const report = await useBackend(name);
    assertEquals([report.chosen, tf.getBackend()], [name, name]);
    assertEquals(report.tried.map((trial) => [trial.name, trial.works]), [[name, true]]);
    assertEquals(tf.memory().numTensors, 0);
  }
});

Deno.test("auto takes the first engine that works, or the fastest of those it measures, and says why not the others", async () => {
  const report = await useBackend("auto");
  assertEquals(report.tried.map((trial) => trial.name), backendNames.slice(0, report.tried.length));
  const settled = report.tried.map(({ name, works }) => works && !engineKind(name).isMeasured);
  assertEquals(settled, report.tried.map((_, i) => i === report.tried.length - 1));
  assert(report.tried.every((trial) => trial.why.length > 0 && !trial.why.includes("\n")));
  assert(report.tried.some(({ name, works }) => works && name === report.chosen));
  assertEquals(report.advice === "", report.chosen === "tensorflow");
});

Deno.test("an inspection tries every engine and ends on the one that auto takes", async () => {
  const report = await inspectBackends();
  assertEquals(report.tried.map((trial) => trial.name), backendNames);
  assertEquals(report.chosen, (await useBackend("auto")).chosen);
  assertEquals(tf.getBackend(), report.chosen);
});

Deno.test("a backend that does not exist is refused with the nearest name", async () => {
  const error = await assertRejects(() => useBackend("wams" as BackendName), OneloraError);
  assertStringIncludes(error.message, 'did you mean "wasm"?');
  assertEquals(error.exitCode, 2);
});
