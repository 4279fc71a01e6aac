import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { type BackendName, compile, startResident, useBackend } from "../../dsl/mod.ts";
import { cardTarget } from "../../dsl/compile/webgpu/kernel.ts";
import { replayAsSubmission } from "../../dsl/compile/webgpu/replay.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { gpuInUse } from "../../dsl/engine/webgpu/gpu.ts";
import { type GpuCase, gpuCases } from "../support/gpu_cases.ts";
import { type microModels, microStep } from "../support/micro_steps.ts";

/** Whether there is an adapter here, a software one included. */
async function isThere(): Promise<boolean> {
  try {
    await useBackend("webgpu");
    return true;
  } catch (error) {
    console.log(`skipped: ${(error as Error).message}`);
    return false;
  }
}

const ignore = !await isThere();

/** Numbers of tensors, which are freed. */
async function numbersOf(tensors: readonly tf.Tensor[]): Promise<readonly Float32Array[]> {
  const found = await Promise.all(tensors.map(async (tensor) => Float32Array.from(await tensor.data())));
  tf.dispose([...tensors]);
  return found;
}

/** Asserts that numbers agree, relative to the largest of each tensor. */
function assertNear(
  found: readonly Float32Array[],
  expected: readonly Float32Array[],
  what: string,
  share = 1e-5,
): void {
  assertEquals(found.map(({ length }) => length), expected.map(({ length }) => length), what);
  expected.forEach((values, i) => {
    const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0.1);
    values.forEach((value, at) => assertAlmostEquals(found[i][at], value, share * most, `${what}, result ${i}`));
  });
}

async function ran({ f, inputs }: GpuCase, backend: BackendName): Promise<readonly Float32Array[]> {
  await useBackend(backend);
  const compiled = compile(f);
  const given = inputs();
  const found = await numbersOf(compiled(...given));
  compiled.dispose();
  tf.dispose(given);
  return found;
}

for (const [name, each] of Object.entries(gpuCases)) {
  Deno.test({
    name: `compiled for WebGPU, ${name} gives what cpu does`,
    ignore,
    fn: async () => assertNear(await ran(each, "webgpu"), await ran(each, "cpu"), name),
  });
}

/** Steps of a micro model: losses, and state after the first. */
async function steps(backend: BackendName, name: typeof microModels[number], method: string) {
  await useBackend(backend);
  const { step, state, batch } = await microStep(name, method);
  const paths = Object.keys(state.optimiser);
  const fallbacks: string[] = [];
  const own = [state.frozen, state.trained, state.optimiser].reduce((sum, tree) => sum + Object.keys(tree).length, 0);
  const before = tf.memory().numTensors - own;
  const resident = startResident(step, state, { onFallback: (line) => fallbacks.push(line) });
  const losses = [(await resident.step(batch)).loss];
  const { optimiser } = resident.read(["optimiser"]);
  const values = await numbersOf(Object.values(optimiser));
  losses.push((await resident.step(batch)).loss);
  resident.dispose();
  assertEquals(tf.memory().numTensors, before);
  tf.dispose(Object.values(batch));
  // AdamW's first means are the gradients, times 0.1.
  const gradients = values.filter((_, i) => paths[i].startsWith("m"));
  return { losses, gradients, fallbacks };
}

// The other two make the same kernels, and take a software adapter long to compile.
for (const name of ["vit-micro", "llama-micro"] as const) {
  Deno.test({
    name: `a step of ${name} in one submission has cpu's loss and gradients, and the same bytes twice`,
    ignore,
    fn: async () => {
      const [found, again] = [await steps("webgpu", name, "1lora"), await steps("webgpu", name, "1lora")];
      const expected = await steps("cpu", name, "1lora");
      assertEquals(found, again);
      assertEquals(found.fallbacks, []);
      assert(found.gradients.length > 0);
      assertNear(found.gradients, expected.gradients, name);
      assertNear([Float32Array.from(found.losses)], [Float32Array.from(expected.losses)], name);
    },
  });
}

Deno.test({
  name: "a loss that is no number leaves the state as it was, and a step without a kernel runs one by one",
  ignore,
  fn: async () => {
    await useBackend("webgpu");
    for (const isLowered of [true, false]) {
      const lines: string[] = [];
      const resident = startResident(
        ({ frozen, trained, optimiser }, { x }) => [
          { frozen, trained: { w: tf.add(trained.w, isLowered ? x : tf.cumsum(x)) }, optimiser },
          { loss: tf.sum(tf.log(x)) as tf.Scalar },
        ],
        { frozen: {}, trained: { w: tf.tensor1d([1, 2]) }, optimiser: {} },
        { onFallback: (line) => lines.push(line) },
      );
      const [good, bad] = [tf.tensor1d([10, 20]), tf.tensor1d([-1, 5])];
      assertAlmostEquals((await resident.step({ x: good })).loss, Math.log(200), 1e-5);
      assert(Number.isNaN((await resident.step({ x: bad })).loss));
      const { trained } = resident.read(["trained"]);
      assertEquals([...await trained.w.data()], isLowered ? [11, 22] : [11, 32]);
      const cause = "the step runs kernel by kernel: Cumsum of float32 [2] has no WebGPU kernel";
      assertEquals(lines, isLowered ? [] : [cause]);
      resident.dispose();
      tf.dispose([good, bad, trained.w]);
    }
  },
});

Deno.test({
  name: "products and rows as a card computes them, tiles and sums shared by threads, give the same",
  ignore,
  fn: async () => {
    await useBackend("webgpu");
    const f = (a: tf.Tensor, b: tf.Tensor) => {
      const product = tf.matMul(a, b, false, true);
      return [product, tf.matMul(a, product, true), tf.softmax(product), tf.sum(product, 1)];
    };
    const inputs =
      () => [tf.randomNormal([70, 20], 0, 1, "float32", 1), tf.randomNormal([256, 20], 0, 1, "float32", 2)];
    const given = inputs();
    const program = trace((xs) => f(xs[0], xs[1]), given.map(({ shape, dtype }) => ({ shape, dtype })));
    const onCard = async (halves: boolean) => {
      const { replay } = replayAsSubmission(program, {}, { ...cardTarget, halves });
      const found = await numbersOf(replay.run(given));
      replay.dispose();
      return found;
    };
    const [whole, halved] = [await onCard(false), gpuInUse().device.features.has("shader-f16") && await onCard(true)];
    tf.dispose(given);
    const expected = await ran({ f, inputs }, "cpu");
    assertNear(whole, expected, "as a card");
    // Of float16 there are 11 bits.
    if (halved !== false) assertNear(halved.slice(0, 1), expected.slice(0, 1), "as a card in float16", 2e-3);
  },
});
