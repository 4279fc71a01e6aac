import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import { openModel } from "../../models/mod.ts";
import { taskOf } from "../../tasks/kinds.ts";
import { planTask } from "../../tasks/trainer/plan.ts";
import { attention, causalMask, paddingMask, useBackend } from "../../dsl/mod.ts";
import { productFlops, type Program } from "../../dsl/compile/program.ts";
import { trace } from "../../dsl/compile/trace.ts";
import type { Precision } from "../../dsl/engine/precision.ts";
import { halvedInputs } from "../../dsl/compile/webgpu/halves.ts";
import { registerGpuKernels } from "../../dsl/compile/webgpu/eager.ts";
import { cardTarget, MOST_BINDINGS, softwareTarget, type Target } from "../../dsl/compile/webgpu/kernel.ts";
import { gpuPasses, type GpuProgram, leastLimits, lowerBody, lowerProgram } from "../../dsl/compile/webgpu/lower.ts";
import { gpuCases } from "../support/gpu_cases.ts";
import { microModels, microStep } from "../support/micro_steps.ts";

function lowered(program: Program, target: Target, frozen = 0): GpuProgram {
  const found = lowerBody(program, target, undefined, halvedInputs(program, frozen));
  assert(!("reason" in found), "reason" in found ? found.reason : "");
  return found;
}

/** A step's program as it is traced for WebGPU: with those kernels of ours that it has. */
async function stepProgram(
  name: typeof microModels[number],
  method: string,
  precision: Precision = "float32",
): Promise<{ readonly program: Program; readonly frozen: number }> {
  registerGpuKernels();
  const { step, state, batch } = await microStep(name, method);
  const trees = [state.frozen, state.trained, state.optimiser, batch];
  const leaves = trees.flatMap((tree) => Object.values(tree));
  const program = trace(
    (inputs) => {
      let next = 0;
      const [frozen, trained, optimiser, given] = trees.map((tree) =>
        Object.fromEntries(Object.keys(tree).map((path) => [path, inputs[next++]]))
      );
      const [after, metrics] = step({ frozen, trained, optimiser }, given as typeof batch);
      return [...Object.values(after.trained), ...Object.values(after.optimiser), ...Object.values(metrics)];
    },
    leaves.map(({ shape, dtype }) => ({ shape, dtype })),
    { backend: "webgpu", precision },
  );
  tf.dispose([...leaves]);
  return { program: gpuPasses(program), frozen: Object.keys(state.frozen).length };
}

/** Software in float32, and cards with frozen weights in float16. */
const both = (frozen: number) => [[softwareTarget, 0], [cardTarget, frozen]] as const;

for (const name of microModels) {
  Deno.test(`the steps of ${name} lower to WebGPU for every adapter, within what all devices bind`, async () => {
    await useBackend("wasm");
    for (const method of ["1lora", "all"]) {
      const { program, frozen } = await stepProgram(name, method);
      for (const [target, halved] of method === "all" ? [[cardTarget, 0]] as const : both(frozen)) {
        const { dispatches, offsets, arenaBytes, bytesOf } = lowered(program, target, halved);
        assert(dispatches.every(({ bindings }) => bindings.length <= MOST_BINDINGS));
        for (const [root, offset] of offsets) {
          assert(offset % leastLimits.alignment === 0 && offset + bytesOf(root) <= arenaBytes);
        }
      }
    }
  });
}

Deno.test("equal layers share their code, and memory that is free is used again", async () => {
  await useBackend("wasm");
  const { program } = await stepProgram("vit-micro", "1lora");
  const { dispatches, offsets, arenaBytes, bytesOf } = lowered(program, softwareTarget);
  const texts = new Set(dispatches.map(({ text }) => text));
  assert(texts.size * 4 < dispatches.length, `${texts.size} of ${dispatches.length}`);
  const all = [...offsets.keys()].reduce((sum, root) => sum + bytesOf(root), 0);
  assert(arenaBytes * 3 < all, `${arenaBytes} of ${all}`);
});

Deno.test("a binding that shares its buffer with what is written is one for writing, weights are for reading alone", () => {
  const program = trace(
    ([x, w]) => [tf.exp(tf.matMul(tf.relu(x), w))],
    [[4, 8], [8, 4]].map((shape) => ({
      shape,
      dtype: "float32",
    })),
  );
  const { dispatches, roots } = lowered(gpuPasses(program), softwareTarget);
  assertEquals(dispatches.length, 3);
  const [relu, product, exp] = dispatches;
  assertEquals([relu, product, exp].map(({ bindings }) => bindings.map(({ isWritable }) => isWritable)), [
    [false, true],
    [true, false, true],
    [true, true],
  ]);
  assertStringIncludes(product.text, "var<storage, read> t1: array<vec4<f32>>;");
  assertEquals(roots[exp.bindings[1].root].place, "result");
});

Deno.test("what has no kernel, and what a device cannot bind, is named", () => {
  const of = (f: (x: tf.Tensor) => tf.Tensor, size: number) =>
    lowerProgram(trace(([x]) => [f(x)], [{ shape: [size], dtype: "float32" }]), softwareTarget);
  assertEquals(of((x) => tf.cumsum(x), 8), { reason: "Cumsum of float32 [8] has no WebGPU kernel" });
  assertEquals(of((x) => tf.exp(x), 2 ** 26), {
    reason: `a tensor of ${2 ** 28} bytes, where ${2 ** 27} can be bound`,
  });
});

Deno.test("weights in float16 take half the memory, are read as they are by products, and are made wide for one call else", async () => {
  await useBackend("cpu");
  const float = (...shape: number[]) => ({ shape, dtype: "float32" as const });
  const program = trace(
    ([w, table, other, x]) => [
      tf.matMul(x, w),
      tf.gather(table, tf.tensor1d([1, 0], "int32")),
      tf.mul(other, tf.slice(x, [0, 0], [1, 64])),
      tf.sum(other, 1),
    ],
    [float(64, 64), float(80, 64), float(64, 64), float(4, 64)],
  );
  const { dispatches, bytesOf, rootOf, roots } = lowered(gpuPasses(program), softwareTarget, 3);
  assertEquals(program.inputs.map((value) => bytesOf(rootOf(value))), [8192, 10240, 8192, 1024]);
  const inHalves = dispatches.filter(({ text }) => text.startsWith("enable f16;"));
  assertEquals(inHalves.length, 4);
  assert(inHalves.every(({ text }) => /array<vec4<f16>>/.test(text)));
  // Two calls read the third: each has it made for itself, in memory that is used again.
  assertEquals(dispatches.length, 7);
  const wide = dispatches.filter(({ text }) => /\] = vec4<f32>\(t0\[i\]\);/.test(text)).map(({ bindings }) =>
    bindings[1].root
  );
  assertEquals(wide.map((root) => roots[root].place), ["arena", "arena"]);
  const small = trace(([w, x]) => [tf.matMul(x, w)], [float(8, 8), float(4, 8)]);
  assertEquals([...halvedInputs(small, 1)], []);
});

Deno.test("a step in f16 is planned at half the memory of frozen weights", async () => {
  await useBackend("cpu");
  const model = await openModel("vit-base");
  const layer = adapt("1lora")(model.layer);
  const [whole, half] = (["float32", "f16"] as const).map((precision) =>
    planTask(taskOf(model)!, model, layer, { batch: 2, length: 0, backend: "webgpu", precision })
  );
  const { float32, f16 = 0, bf16 } = half.weights;
  assertEquals([bf16, float32 + 2 * f16], [0, whole.weights.float32]);
  assert(float32 * 100 < f16, `${float32} ${f16}`);
  assert(half.peakBytes < whole.peakBytes - 0.9 * f16, `${half.peakBytes} ${whole.peakBytes}`);
});

Deno.test("attention holds nothing of the square of a text's length, padding and gradients included", async () => {
  await useBackend("cpu");
  registerGpuKernels();
  const [length, size] = [2048, 64];
  const shape = [1, 2, length, size];
  const types = [shape, shape, shape, [1, length]].map((shape) => ({ shape, dtype: "float32" as const }));
  const program = gpuPasses(trace(
    ([q, k, v, counts]) => {
      const padding = paddingMask(counts);
      const options = { mask: tf.minimum(causalMask(length), padding), causal: { mask: padding } };
      const { value, grads } = tf.valueAndGrads((q, k, v) => attention(q, k, v, options))([q, k, v]);
      return [value, ...grads];
    },
    types,
    { backend: "webgpu" },
  ));
  assertEquals(
    program.calls.filter(({ kernel }) => /Attention|MatMul|Softmax/.test(kernel)).map(({ kernel }) => kernel),
    [
      "BlockAttention",
      "BlockAttentionGrad",
    ],
  );
  assertEquals(productFlops(program), 10 * 2 * length * length * size * 2);
  for (const target of [softwareTarget, cardTarget]) {
    const { roots, bytesOf, arenaBytes } = lowered(program, target);
    const largest = Math.max(...roots.map((_, root) => bytesOf(root)));
    assertEquals(largest, 4 * 2 * length * size);
    // The scores of one head alone are 16 MB.
    assert(arenaBytes < 4e6, `${arenaBytes}`);
  }
  // What a head of the autoencoder's kind needs does not fit into a thread.
  const wide = [1, 1, 8, 512];
  const composed = trace(
    ([q, k, v]) => [attention(q, k, v)],
    [wide, wide, wide].map((shape) => ({ shape, dtype: "float32" })),
    {
      backend: "webgpu",
    },
  );
  assert(composed.calls.every(({ kernel }) => kernel !== "BlockAttention"));
});

Deno.test("sums of a row by subgroups are the same program with fewer waits", () => {
  const program = gpuPasses(trace(([x]) => [tf.softmax(x), tf.sum(x, 1)], [{ shape: [200, 512], dtype: "float32" }]));
  const [with_, without] = [true, false].map((subgroups) => lowered(program, { ...cardTarget, subgroups }).dispatches);
  assertEquals(
    with_.map(({ groups, bindings }) => [groups, bindings]),
    without.map(({ groups, bindings }) => [groups, bindings]),
  );
  const barriers = (dispatches: typeof with_) =>
    dispatches.map(({ text }) => text.split("workgroupBarrier").length - 1);
  assert(with_.every(({ text }) => text.startsWith("enable subgroups;\n")));
  assertEquals(without.some(({ text }) => text.includes("subgroup")), false);
  // A maximum and a sum, and a sum: twice each, before and after they are left in memory.
  assertEquals([barriers(with_), barriers(without)], [[4, 2], [6, 3]]);
});

Deno.test("every small case lowers", async () => {
  await useBackend("cpu");
  for (const [name, { f, inputs }] of Object.entries(gpuCases)) {
    const given = inputs();
    const types = given.map(({ shape, dtype }) => ({ shape, dtype }));
    const program = trace((xs) => f(...xs), types);
    for (const target of [softwareTarget, cardTarget]) {
      const found = lowerBody(gpuPasses(program), target);
      assert(!("reason" in found), `${name}: ${"reason" in found ? found.reason : ""}`);
    }
    tf.dispose(given);
  }
});
