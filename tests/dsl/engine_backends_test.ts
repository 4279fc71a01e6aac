import { assert, assertAlmostEquals, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { type BackendName, backendNames, engineKind, inspectBackends, useBackend } from "../../dsl/engine/mod.ts";
import { adamw, OneloraError, type Params, startResident } from "../../dsl/mod.ts";
import { trainStep } from "../../tasks/mod.ts";
import { agrees, assertTaken, testModelCases, working } from "../support/engine_agreement.ts";
import { borrowedCases } from "../support/engine_cases.ts";

// webgpu has a file and a process of its own: with a software driver that has computed, a process that has TensorFlow too
// was seen to crash as it left ("double free"), since both bring LLVM.
const present = new Map<BackendName, boolean>();
for (const name of backendNames.filter((each) => each !== "webgpu")) present.set(name, await working(name));

for (const [backend, works] of present) if (backend !== "cpu") testModelCases(backend, works);

for (const [kernel, compute] of Object.entries(borrowedCases)) {
  Deno.test(`wasm borrows ${kernel} from cpu without a leak`, () => agrees("wasm", kernel, compute));
}

Deno.test("wasm has every kernel that cpu has", async () => {
  await useBackend("wasm");
  const [wasm, cpu] = ["wasm", "cpu"].map((name) => tf.getKernelsForBackend(name).map((each) => each.kernelName));
  assertEquals(cpu.filter((name) => !wasm.includes(name)), []);
});

Deno.test("a chosen backend is the one that computes, and memory starts empty", async () => {
  for (const [name, works] of present) if (works) await assertTaken(name);
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

Deno.test({
  name: "TensorFlow's compiler works where WebGPU has asked for an adapter, whose driver may bring another LLVM",
  ignore: !present.get("tensorflow"),
  fn: async () => {
    await inspectBackends();
    await useBackend("tensorflow");
    const optimiser = adamw({});
    const trained: Params = { w: tf.ones([8, 8]) };
    const step = trainStep(
      (params, { x }) => ({ loss: tf.mean(tf.square(tf.softmax(tf.matMul(x, params.w)))) as tf.Scalar }),
      optimiser,
    );
    const batch = { x: tf.reshape(tf.linspace(-1, 1, 64), [8, 8]), rate: tf.scalar(0.01) };
    const state = { frozen: {}, trained, optimiser: optimiser.init(trained) };
    const compiled = startResident(step, state, { graph: "whole", onFallback: (line) => assert(false, line) });
    assertAlmostEquals((await compiled.step(batch)).loss, 1 / 64, 1e-6);
    compiled.dispose();
  },
});

Deno.test("a backend that does not exist is refused with the nearest name", async () => {
  const error = await assertRejects(() => useBackend("wams" as BackendName), OneloraError);
  assertStringIncludes(error.message, 'did you mean "wasm"?');
  assertEquals(error.exitCode, 2);
});
