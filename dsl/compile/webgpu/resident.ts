/**
 * Steps on WebGPU: weights and optimiser state stay in its memory, a step is one submission, and nothing but its metrics comes
 * back.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Gpu, gpuInUse } from "../../engine/webgpu/gpu.ts";
import { mapTree, type Params, type Path } from "../../tree.ts";
import { batchSignature, type PureStep, type Resident, type ResidentOptions, type StepState } from "../step.ts";
import { typesOf } from "../trace_step.ts";
import { Copies } from "./copies.ts";
import { Held } from "./held.ts";
import { type SizedStep, sizedStep } from "./sized_step.ts";

const PARTS = ["frozen", "trained", "optimiser"] as const;

/**
 * Starts a step whose state WebGPU keeps, in two copies: from one to the other, so that a step whose loss is no number changes
 * nothing.
 *
 * @param step The pure step
 * @param state Where it starts; its tensors are no longer the caller's
 * @param options See {@linkcode ResidentOptions}
 * @param fallback What runs a step that has calls without a kernel here
 */
export function startSubmissions<Batch extends Params>(
  step: PureStep<Batch>,
  state: StepState,
  options: ResidentOptions,
  fallback: (step: PureStep<Batch>, state: StepState) => Resident<Batch>,
): Resident<Batch> {
  const gpu = gpuInUse();
  const { precision = "float32" } = options;
  const paths = Object.keys(state.frozen);
  const types = { frozen: typesOf(state.frozen), trained: typesOf(state.trained), optimiser: typesOf(state.optimiser) };
  const held = new Held(gpu, state.frozen);
  const copies = new Copies(gpu, state);
  const sizes = new Map<string, SizedStep<Batch>>();
  let plain: Resident<Batch> | undefined;

  const sized = (batch: Batch, staying: Params): SizedStep<Batch> | string => {
    const signature = batchSignature(batch, staying);
    const own = sizes.get(signature) ?? sizedStep(gpu, step, types, batch, staying, precision);
    if (typeof own !== "string") sizes.set(signature, own);
    return own;
  };
  const disposeSizes = () => {
    for (const own of sizes.values()) own.dispose();
    sizes.clear();
  };
  const frozenNow = (make: (path: Path) => tf.Tensor): Params =>
    Object.fromEntries(paths.map((path) => [path, make(path)]));
  const fallBack = (reason: string): Resident<Batch> => {
    options.onFallback?.(`the step runs kernel by kernel: ${reason}`);
    const frozen = frozenNow((path) => held.tensorOf(path));
    held.disposeHalves();
    disposeSizes();
    return plain = fallback(step, { frozen, ...copies.release() });
  };
  return {
    step: async (given, staying = {}) => {
      const batch = { ...given, ...staying } as Batch;
      if (plain !== undefined) return await plain.step(batch);
      if (precision === "f16") await held.halve();
      const own = sized(batch, staying);
      if (typeof own === "string") return await fallBack(own).step(batch);
      const frozen = paths.map((path) => held.bufferOf(path));
      const metrics = await own.take(batch, { frozen, from: copies.from, to: copies.to });
      if (Number.isFinite(metrics.loss)) copies.swap();
      return metrics;
    },
    read: (parts = PARTS) => {
      if (plain !== undefined) return plain.read(parts);
      const now = copies.current;
      const part = (name: "trained" | "optimiser") =>
        parts.includes(name) ? mapTree((tensor: tf.Tensor) => copyOf(gpu, tensor))(now[name]) : {};
      const frozen = (path: Path) => held.isHalf(path) ? held.tensorOf(path) : copyOf(gpu, held.tensorOf(path));
      return {
        frozen: parts.includes("frozen") ? frozenNow(frozen) : {},
        trained: part("trained"),
        optimiser: part("optimiser"),
      };
    },
    dispose: () => {
      if (plain !== undefined) return plain.dispose();
      disposeSizes();
      held.dispose();
      copies.dispose();
    },
  };
}

/** A tensor of the caller's with the numbers that a buffer has now. */
function copyOf(gpu: Gpu, tensor: tf.Tensor): tf.Tensor {
  const copy = gpu.output(tensor.shape, tensor.dtype);
  const [from, to] = [gpu.bufferOf(tensor), gpu.bufferOf(copy)];
  gpu.flush();
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, to, 0, to.size);
  gpu.device.queue.submit([encoder.finish()]);
  return tf.keep(tf.engine().makeTensorFromTensorInfo(copy));
}
