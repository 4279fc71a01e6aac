import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { attention, type BackendName, compile, OneloraError, startResident, useBackend } from "../../dsl/mod.ts";
import { startRecurrent } from "../../dsl/compile/recurrent.ts";
import { halvedInputs } from "../../dsl/compile/webgpu/halves.ts";
import { Held } from "../../dsl/compile/webgpu/held.ts";
import { gpuPasses, lowerBody } from "../../dsl/compile/webgpu/lower.ts";
import { gpuInUse } from "../../dsl/engine/webgpu/gpu.ts";
import { Runner } from "../../dsl/engine/webgpu/runner.ts";
import { targetInUse } from "../../dsl/engine/webgpu/target.ts";
import { register } from "../../dsl/engine/in_use.ts";
import { inPrecision } from "../../tasks/trainer/precision.ts";
import { cardTarget } from "../../dsl/compile/webgpu/kernel.ts";
import { replayAsSubmission } from "../../dsl/compile/webgpu/replay.ts";
import { trace } from "../../dsl/compile/trace.ts";
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

/** Whether frozen weights are rounded to float16, or kept in it. */
type Half = "none" | "rounded" | "kept";

/** Steps of a micro model: losses, and state after the first. */
async function steps(backend: BackendName, name: typeof microModels[number], method: string, half: Half = "none") {
  await useBackend(backend);
  const { layer, step, state: first, batch } = await microStep(name, method);
  const state = half === "none" ? first : { ...first, frozen: await inPrecision(layer, first.frozen, "f16") };
  const paths = Object.keys(state.optimiser);
  const fallbacks: string[] = [];
  const own = [state.frozen, state.trained, state.optimiser].reduce((sum, tree) => sum + Object.keys(tree).length, 0);
  const before = tf.memory().numTensors - own;
  const resident = startResident(step, state, {
    precision: half === "kept" ? "f16" : "float32",
    onFallback: (line) => fallbacks.push(line),
  });
  const losses = [(await resident.step(batch)).loss];
  const { optimiser } = resident.read(["optimiser"]);
  const values = await numbersOf(Object.values(optimiser));
  losses.push((await resident.step(batch)).loss);
  const { frozen } = resident.read(["frozen"]);
  const weights = await numbersOf(Object.values(frozen));
  resident.dispose();
  assertEquals(tf.memory().numTensors, before);
  tf.dispose(Object.values(batch));
  // AdamW's first means are the gradients, times 0.1.
  const gradients = values.filter((_, i) => paths[i].startsWith("m"));
  return { losses, gradients, fallbacks, weights };
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

const hasHalves = !ignore && (await useBackend("webgpu")).engine.precisions.includes("f16");
if (!hasHalves) console.log("no adapter with shader-f16 here: f16 is skipped");

for (const [name, method] of [["vit-micro", "1lora"], ["llama-micro", "lora"]] as const) {
  Deno.test({
    name: `a step of ${name} in f16 is cpu's with weights rounded to float16, and near that without`,
    ignore: !hasHalves,
    fn: async () => {
      const found = await steps("webgpu", name, method, "kept");
      assertEquals(found.fallbacks, []);
      const [rounded, exact] = [await steps("cpu", name, method, "rounded"), await steps("cpu", name, method)];
      // What is read back are the numbers that are computed with.
      assertEquals(found.weights, rounded.weights);
      assertNear(found.gradients, rounded.gradients, name);
      assertNear([Float32Array.from(found.losses)], [Float32Array.from(rounded.losses)], name);
      // Weights have 11 bits: 2^-11 of each product's term.
      assertNear([Float32Array.from(found.losses)], [Float32Array.from(exact.losses)], name, 2e-3);
      assertNear(found.gradients, exact.gradients, name, 2e-2);
    },
  });
}

Deno.test({
  name: "a card's products of weights in float16 give the same, and a weight beyond float16 is refused by name",
  ignore: !hasHalves,
  fn: async () => {
    await useBackend("webgpu");
    const w = tf.randomNormal([80, 64], 0, 1, "float32", 1);
    const x = tf.randomNormal([70, 64], 0, 1, "float32", 2);
    const bits = new Float16Array(await w.data<"float32">());
    const frozen = { w };
    const program = gpuPasses(trace(
      ([w, x]) => {
        const y = tf.matMul(x, w, false, true);
        return [y, tf.matMul(y, w), tf.matMul(w, y, true, true)];
      },
      [w, x].map(({ shape, dtype }) => ({ shape, dtype })),
    ));
    const { limits } = targetInUse();
    const lowered = lowerBody(program, cardTarget, limits, halvedInputs(program, 1));
    assert(!("reason" in lowered));
    const gpu = gpuInUse();
    const held = new Held(gpu, frozen);
    await held.halve();
    const results = program.outputs.map((value) => gpu.output(program.types[value].shape, "float32"));
    const buffers = new Map([[lowered.rootOf(program.inputs[0]), held.bufferOf("w")]]);
    [x, ...results].forEach((tensor, i) =>
      buffers.set(lowered.rootOf([program.inputs[1], ...program.outputs][i]), gpu.bufferOf(tensor))
    );
    gpu.flush();
    const runner = new Runner(gpu, lowered);
    const encoder = gpu.device.createCommandEncoder();
    runner.encode(encoder, (root) => buffers.get(root)!);
    gpu.device.queue.submit([encoder.finish()]);
    const found = await numbersOf(results.map((info) => tf.engine().makeTensorFromTensorInfo(info)));
    runner.dispose();
    held.dispose();
    const given = await x.data<"float32">();
    x.dispose();
    await useBackend("cpu");
    const expected = tf.tidy(() => {
      const [w, x] = [tf.tensor2d(new Float32Array(bits), [80, 64]), tf.tensor2d(given, [70, 64])];
      const y = tf.matMul(x, w, false, true);
      return [y, tf.matMul(y, w), tf.matMul(w, y, true, true)];
    });
    assertNear(found, await numbersOf(expected), "in float16");
    await useBackend("webgpu");
    const large = tf.fill([64, 64], 70_000);
    const resident = startResident(
      ({ frozen, trained, optimiser }, { x }) => [
        {
          frozen,
          trained: { b: tf.add(trained.b, tf.sum(tf.matMul(x as tf.Tensor2D, frozen.w as tf.Tensor2D))) },
          optimiser,
        },
        { loss: tf.sum(x) as tf.Scalar },
      ],
      { frozen: { w: large }, trained: { b: tf.scalar(0) }, optimiser: {} },
      { precision: "f16" },
    );
    const batch = { x: tf.ones([4, 64]) };
    const error = await assertRejects(
      () => resident.step(batch),
      OneloraError,
      "keeping w in f16: found a weight of 70000",
    );
    assertEquals(error.message.includes("\n"), false);
    resident.dispose();
    tf.dispose(batch);
  },
});

Deno.test({
  name: "f16 is refused in a line where there is none, with what there is",
  ignore,
  fn: async () => {
    const start = () =>
      startResident(
        (state) => [state, { loss: tf.scalar(0) }],
        { frozen: {}, trained: {}, optimiser: {} },
        { precision: "f16" },
      );
    await useBackend("wasm");
    assertThrows(
      start,
      OneloraError,
      "computing in f16: found the wasm backend; allowed: the webgpu backend with an adapter",
    );
    // As an adapter without the feature is opened.
    const { engine } = await useBackend("webgpu");
    register({
      ...engine,
      device: { ...engine.device, lacks: { f16: "its adapter has no shader-f16" } },
      precisions: ["float32"],
    });
    assertThrows(start, OneloraError, "the webgpu backend: its adapter has no shader-f16");
    await useBackend("webgpu");
    assertThrows(() => startRecurrent(() => [{}, {}], {}, { precision: "f16" }), OneloraError, "for training alone");
  },
});

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
    const f = (a: tf.Tensor, b: tf.Tensor, q: tf.Tensor) => {
      const product = tf.matMul(a, b, false, true);
      return [
        product,
        tf.matMul(a, product, true),
        tf.softmax(product),
        tf.sum(product, 1),
        ...tf.grads((q, k) => attention(q, k, k))([q, q], q),
      ];
    };
    const inputs = () => [
      tf.randomNormal([70, 20], 0, 1, "float32", 1),
      tf.randomNormal([256, 20], 0, 1, "float32", 2),
      tf.randomNormal([2, 2, 9, 8], 0, 1, "float32", 3),
    ];
    const given = inputs();
    const program = trace((xs) => f(xs[0], xs[1], xs[2]), given.map(({ shape, dtype }) => ({ shape, dtype })));
    const { replay } = replayAsSubmission(program, {}, cardTarget);
    const found = await numbersOf(replay.run(given));
    replay.dispose();
    tf.dispose(given);
    assertNear(found, await ran({ f, inputs }, "cpu"), "as a card");
  },
});
