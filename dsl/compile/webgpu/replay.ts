/**
 * Programs on WebGPU as one submission, with what lives within a run in planned memory.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { gpuInUse } from "../../engine/webgpu/gpu.ts";
import { Runner } from "../../engine/webgpu/runner.ts";
import { targetInUse } from "../../engine/webgpu/target.ts";
import type { Program } from "../program.ts";
import { constantTensors, kernelByKernel, type Replayer, replayer, type ReplayOptions } from "../replay.ts";
import { resultsOf } from "../roots.ts";
import type { Target } from "./kernel.ts";
import { gpuPasses, type GpuProgram, lowerBody } from "./lower.ts";

/** What runs a lowered program. */
function submitted(program: Program, lowered: GpuProgram): Replayer {
  const gpu = gpuInUse();
  const constants = constantTensors(program);
  const { roots } = lowered;
  let runner: Runner | undefined;
  return {
    run(inputs) {
      runner ??= new Runner(gpu, lowered);
      const made = new Map<number, tf.TensorInfo>();
      const infoOf = (root: number): tf.TensorInfo => {
        const { place, type } = roots[root];
        if (typeof place === "object") return "input" in place ? inputs[place.input] : constants.get(place.constant)!;
        if (!made.has(root)) made.set(root, gpu.output(type.shape, type.dtype));
        return made.get(root)!;
      };
      const buffers = new Map<number, GPUBuffer>();
      for (const { bindings } of lowered.dispatches) {
        for (const { root } of bindings) {
          if (!lowered.offsets.has(root) && !buffers.has(root)) buffers.set(root, gpu.bufferOf(infoOf(root)));
        }
      }
      gpu.flush();
      const encoder = gpu.device.createCommandEncoder();
      runner.encode(encoder, (root) => buffers.get(root)!);
      gpu.device.queue.submit([encoder.finish()]);
      gpu.check();
      return resultsOf(program, lowered, inputs, constants, (root) => infoOf(root).dataId);
    },
    dispose() {
      runner?.dispose();
      for (const [value, { kind }] of program.constants) if (kind === "numbers") constants.get(value)!.dispose();
    },
  };
}

/**
 * A traced program made ready for WebGPU: one submission where all of it has kernels there, else kernel by kernel.
 *
 * @param traced The program as it was traced
 * @param options See {@linkcode ReplayOptions}
 * @param target What it is lowered for (default: the adapter in use)
 */
export function replayAsSubmission(
  traced: Program,
  options: ReplayOptions = {},
  target: Target = targetInUse().target,
): { readonly program: Program; readonly replay: Replayer } {
  const program = gpuPasses(traced);
  const { limits } = targetInUse();
  const lowered = lowerBody(program, target, limits);
  if ("reason" in lowered) return kernelByKernel(traced, options);
  return { program, replay: replayer(program, (body) => submitted(body, lowered)) };
}
