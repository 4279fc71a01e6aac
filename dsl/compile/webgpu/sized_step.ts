/**
 * A step for one size of batch as one submission to WebGPU: its kernels, constants and the buffers that a batch and the metrics
 * go through.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Gpu } from "../../engine/webgpu/gpu.ts";
import { Runner } from "../../engine/webgpu/runner.ts";
import { targetInUse } from "../../engine/webgpu/target.ts";
import type { Precision } from "../../engine/precision.ts";
import type { Params } from "../../tree.ts";
import { hoistConstants } from "../passes.ts";
import type { Program, ValueId } from "../program.ts";
import { plainReplayer } from "../replay.ts";
import type { PureStep } from "../step.ts";
import type { StepTypes } from "../step_plan.ts";
import { type TracedStep, traceStep, typesOf } from "../trace_step.ts";
import { halvedInputs } from "./halves.ts";
import { gpuPasses, type GpuProgram, lowerBody } from "./lower.ts";

/** The constants of a program, those included that are computed once. */
function constantsOf(
  program: Program,
): { readonly body: Program; readonly constants: ReadonlyMap<ValueId, tf.Tensor> } {
  const { prelude, handed, body } = hoistConstants(program);
  const once = plainReplayer(prelude);
  const folded = tf.tidy(() => once.run([]).map((tensor) => tf.keep(tensor)));
  once.dispose();
  const constants = new Map<ValueId, tf.Tensor>(handed.map((value, i) => [value, folded[i]]));
  for (const [value, constant] of body.constants) {
    const { shape, dtype } = body.types[value];
    constants.set(
      value,
      constant.kind === "tensor"
        ? tf.keep(tf.clone(constant.tensor))
        : tf.keep(tf.tensor(constant.values as tf.TypedArray, [...shape], dtype)),
    );
  }
  return { body, constants };
}

/** The buffers of a step: of the frozen weights and of what moves, as it is and as it will be. */
export interface StepBuffers {
  readonly frozen: readonly GPUBuffer[];
  readonly from: readonly GPUBuffer[];
  readonly to: readonly GPUBuffer[];
}

/** A step for one size of batch, with the memory that is its own. */
export class SizedStep<Batch extends Params> {
  readonly #body: Program;
  readonly #constants: ReadonlyMap<ValueId, tf.Tensor>;
  readonly #runner: Runner;
  /** Buffers of the batch, which each batch is copied to; none for what stays, which is read where it is. */
  readonly #batch: readonly (GPUBuffer | undefined)[];
  /** Buffers of metrics, by root. */
  readonly #made = new Map<number, GPUBuffer>();
  /** Where the metrics are read from. */
  readonly #readback: GPUBuffer;

  /**
   * @param gpu Where it runs
   * @param traced Its program and the names of its metrics
   * @param lowered The program's kernels
   * @param batch A batch of its size
   * @param staying What of the batch stays from step to step
   */
  constructor(
    readonly gpu: Gpu,
    { program, metrics }: TracedStep,
    readonly lowered: GpuProgram,
    batch: Batch,
    staying: Params,
  ) {
    const { device } = gpu;
    this.metrics = metrics;
    ({ body: this.#body, constants: this.#constants } = constantsOf(program));
    this.#runner = new Runner(gpu, lowered);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    this.#batch = Object.entries(batch).map(([name, { size }]) =>
      name in staying ? undefined : device.createBuffer({ size: Math.max(4, 4 * size), usage })
    );
    this.#readback = device.createBuffer({
      size: 4 * metrics.length,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  /** The names of its metrics. */
  readonly metrics: readonly string[];

  /**
   * Takes the step.
   *
   * @param batch The batch
   * @param buffers Where the state is, and where what moves is written
   * @returns Its metrics
   * @throws OneloraError if the GPU failed
   */
  async take(batch: Batch, buffers: StepBuffers): Promise<Readonly<Record<string, number>>> {
    const { gpu } = this;
    const given = Object.values(batch).map((tensor, i) => this.#batch[i] ?? gpu.bufferOf(tensor));
    const inputs = [...buffers.frozen, ...buffers.from, ...given];
    // Whatever has to be brought to the GPU is brought there first: tfjs collects it until the flush.
    const constants = new Map([...this.#constants].map(([value, tensor]) => [value, gpu.bufferOf(tensor)]));
    gpu.flush();
    const encoder = gpu.device.createCommandEncoder();
    Object.values(batch).forEach((tensor, i) => {
      const to = this.#batch[i];
      if (to !== undefined) copyIn(gpu, encoder, tensor, to);
    });
    this.#encode(encoder, inputs, constants, buffers.to);
    gpu.device.queue.submit([encoder.finish()]);
    const numbers = await this.#readMetrics();
    gpu.check();
    return Object.fromEntries(this.metrics.map((name, i) => [name, numbers[i]]));
  }

  #encode(
    encoder: GPUCommandEncoder,
    inputs: readonly GPUBuffer[],
    constants: ReadonlyMap<ValueId, GPUBuffer>,
    to: readonly GPUBuffer[],
  ): void {
    const { roots, rootOf, bytesOf } = this.lowered;
    const results = this.#results(to);
    const bufferOf = (root: number): GPUBuffer => {
      const { place } = roots[root];
      if (typeof place !== "object") return results.get(root)!;
      return "input" in place ? inputs[place.input] : constants.get(place.constant)!;
    };
    this.#runner.encode(encoder, bufferOf);
    this.#body.outputs.forEach((value, i) => {
      const buffer = bufferOf(rootOf(value));
      if (i >= to.length) encoder.copyBufferToBuffer(buffer, 0, this.#readback, 4 * (i - to.length), 4);
      else if (buffer !== to[i]) encoder.copyBufferToBuffer(buffer, 0, to[i], 0, bytesOf(rootOf(value)));
    });
  }

  /** The buffer that each root that is made for the caller is written to. */
  #results(to: readonly GPUBuffer[]): ReadonlyMap<number, GPUBuffer> {
    const { roots, rootOf, bytesOf } = this.lowered;
    const found = new Map<number, GPUBuffer>();
    this.#body.outputs.forEach((value, i) => {
      const root = rootOf(value);
      if (roots[root].place !== "result" || found.has(root)) return;
      if (i < to.length) found.set(root, to[i]);
      else {
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
        const buffer = this.#made.get(root) ?? this.gpu.device.createBuffer({ size: bytesOf(root), usage });
        this.#made.set(root, buffer);
        found.set(root, buffer);
      }
    });
    return found;
  }

  async #readMetrics(): Promise<Float32Array> {
    await this.#readback.mapAsync(GPUMapMode.READ);
    const numbers = new Float32Array(this.#readback.getMappedRange().slice(0));
    this.#readback.unmap();
    return numbers;
  }

  /** Frees its memory. */
  dispose(): void {
    this.#runner.dispose();
    for (const buffer of [...this.#batch, ...this.#made.values(), this.#readback]) buffer?.destroy();
    for (const tensor of this.#constants.values()) tensor.dispose();
  }
}

/**
 * Makes a step for one size of batch.
 *
 * @param gpu Where it runs
 * @param step The pure step
 * @param state The types of its state
 * @param batch A batch
 * @param staying What of the batch stays
 * @param precision The precision that it computes in
 * @returns The step, or why it has none: a call without a kernel here
 */
export function sizedStep<Batch extends Params>(
  gpu: Gpu,
  step: PureStep<Batch>,
  state: Omit<StepTypes, "batch">,
  batch: Batch,
  staying: Params,
  precision: Precision,
): SizedStep<Batch> | string {
  const { program, ...traced } = traceStep(step, { ...state, batch: typesOf(batch as Params) }, { precision });
  const made = { ...traced, program: gpuPasses(program) };
  const { target, limits } = targetInUse();
  const halved = precision === "f16" ? halvedInputs(made.program, Object.keys(state.frozen).length) : undefined;
  const lowered = lowerBody(made.program, target, limits, halved);
  return "reason" in lowered ? lowered.reason : new SizedStep(gpu, made, lowered, batch, staying);
}

/** Brings a tensor of a batch to its place. */
function copyIn(gpu: Gpu, encoder: GPUCommandEncoder, tensor: tf.Tensor, to: GPUBuffer): void {
  const values = gpu.valuesOf(tensor);
  if (values === undefined) {
    encoder.copyBufferToBuffer(gpu.bufferOf(tensor), 0, to, 0, 4 * tensor.size);
    return;
  }
  const numbers = tensor.dtype === "float32" ? Float32Array.from(values) : Int32Array.from(values);
  gpu.device.queue.writeBuffer(to, 0, numbers);
}
