import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import type { Program } from "../../dsl/compile/program.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { registerGpuKernels } from "../../dsl/compile/webgpu/eager.ts";
import { cardTarget, MOST_BINDINGS, softwareTarget, type Target } from "../../dsl/compile/webgpu/kernel.ts";
import { gpuPasses, type GpuProgram, leastLimits, lowerBody, lowerProgram } from "../../dsl/compile/webgpu/lower.ts";
import { gpuCases } from "../support/gpu_cases.ts";
import { microModels, microStep } from "../support/micro_steps.ts";

const halves: Target = { ...cardTarget, halves: true };

function lowered(program: Program, target: Target): GpuProgram {
  const found = lowerBody(program, target);
  assert(!("reason" in found), "reason" in found ? found.reason : "");
  return found;
}

/** A step's program as it is traced for WebGPU: with those kernels of ours that it has. */
async function stepProgram(name: typeof microModels[number], method: string): Promise<Program> {
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
    { backend: "webgpu" },
  );
  tf.dispose([...leaves]);
  return gpuPasses(program);
}

for (const name of microModels) {
  Deno.test(`the steps of ${name} lower to WebGPU for every adapter, within what all devices bind`, async () => {
    await useBackend("wasm");
    for (const method of ["1lora", "all"]) {
      const program = await stepProgram(name, method);
      for (const target of method === "all" ? [cardTarget] : [softwareTarget, halves]) {
        const { dispatches, offsets, arenaBytes, bytesOf } = lowered(program, target);
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
  const { dispatches, offsets, arenaBytes, bytesOf } = lowered(await stepProgram("vit-micro", "1lora"), softwareTarget);
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

Deno.test("every small case lowers", async () => {
  await useBackend("cpu");
  for (const [name, { f, inputs }] of Object.entries(gpuCases)) {
    const given = inputs();
    const types = given.map(({ shape, dtype }) => ({ shape, dtype }));
    const program = trace((xs) => f(...xs), types);
    for (const target of [softwareTarget, cardTarget, halves]) {
      const found = lowerBody(gpuPasses(program), target);
      assert(!("reason" in found), `${name}: ${"reason" in found ? found.reason : ""}`);
    }
    tf.dispose(given);
  }
});
