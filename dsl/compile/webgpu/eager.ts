/**
 * Kernels of ours for tfjs's webgpu backend, for what is not compiled: each call is a program of one call.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gpuInUse } from "../../engine/webgpu/gpu.ts";
import { Runner } from "../../engine/webgpu/runner.ts";
import { targetInUse } from "../../engine/webgpu/target.ts";
import { OneloraError } from "../../error.ts";
import type { Program, ValueType } from "../program.ts";
import { ruleOf } from "../shapes.ts";
import { returnsMany } from "../trace.ts";
import { type GpuProgram, lowerProgram, ownKernels } from "./lower.ts";

/** Programs that are kept; what is called eagerly has few shapes. */
const KEPT = 64;

/** A call that is ready. */
interface Ready {
  readonly program: Program;
  readonly lowered: GpuProgram;
  readonly runner: Runner;
}

function made(kernel: string, given: readonly [string, ValueType][], attrs: tf.NamedAttrMap): Ready {
  const list = given.map(([, type]) => type);
  const outputs = ruleOf(kernel)!({ inputs: Object.fromEntries(given), list, attrs });
  const program: Program = {
    types: [...list, ...outputs],
    inputs: list.map((_, i) => i),
    outputs: outputs.map((_, i) => list.length + i),
    constants: new Map(),
    calls: [{
      kernel,
      inputs: list.map((_, i) => i),
      names: given.map(([name]) => name),
      attrs,
      outputs: outputs.map((_, i) => list.length + i),
      region: 0,
    }],
  };
  const { target, limits } = targetInUse();
  const lowered = lowerProgram(program, target, limits);
  if ("reason" in lowered) {
    throw new OneloraError({ attempted: `computing ${kernel}`, found: lowered.reason, allowed: "`--backend wasm`" });
  }
  return { program, lowered, runner: new Runner(gpuInUse(), lowered) };
}

/** Makes tfjs's webgpu backend know the kernels of ours that compiled programs have. */
export function registerGpuKernels(): void {
  for (const kernelName of ownKernels) {
    if (tf.getKernel(kernelName, "webgpu") !== undefined) continue;
    const ready = new Map<string, Ready>();
    tf.registerKernel({
      kernelName,
      backendName: "webgpu",
      kernelFunc: ({ inputs, attrs = {} }) => {
        const gpu = gpuInUse();
        const tensors = Object.entries(inputs as Record<string, tf.TensorInfo>);
        const key = JSON.stringify([tensors.map(([name, { shape }]) => [name, shape]), attrs]);
        let own = ready.get(key);
        if (own === undefined) {
          if (ready.size >= KEPT) {
            const [[oldest, { runner }]] = ready;
            runner.dispose();
            ready.delete(oldest);
          }
          own = made(kernelName, tensors, attrs);
          ready.set(key, own);
        }
        const { program: { outputs, types }, lowered, runner } = own;
        const results = outputs.map((value) => gpu.output(types[value].shape, types[value].dtype));
        // A tensor that is given twice has one root for each time: their buffer is the same.
        const buffers = new Map<number, GPUBuffer>();
        tensors.forEach(([, tensor], i) => buffers.set(lowered.rootOf(i), gpu.bufferOf(tensor)));
        outputs.forEach((value, i) => buffers.set(lowered.rootOf(value), gpu.bufferOf(results[i])));
        gpu.flush();
        const encoder = gpu.device.createCommandEncoder();
        runner.encode(encoder, (root) => buffers.get(root)!);
        gpu.device.queue.submit([encoder.finish()]);
        gpu.check();
        return returnsMany(kernelName) ? results : results[0];
      },
    });
  }
}
