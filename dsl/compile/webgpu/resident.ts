/**
 * Steps on WebGPU: weights and optimiser state stay in its memory, a step is one submission, and nothing but its metrics comes
 * back.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Gpu, gpuInUse } from "../../engine/webgpu/gpu.ts";
import { Runner } from "../../engine/webgpu/runner.ts";
import { targetInUse } from "../../engine/webgpu/target.ts";
import type { Precision } from "../../engine/precision.ts";
import { mapTree, type Params, type Path, type Tree } from "../../tree.ts";
import { hoistConstants } from "../passes.ts";
import type { Program, ValueId, ValueType } from "../program.ts";
import { plainReplayer } from "../replay.ts";
import type { PureStep, Resident, ResidentOptions, StepState } from "../step.ts";
import { trace } from "../trace.ts";
import { halvedInputs } from "./halves.ts";
import { Held } from "./held.ts";
import { gpuPasses, type GpuProgram, lowerBody } from "./lower.ts";

const PARTS = ["frozen", "trained", "optimiser"] as const;

/** A step's program, whose inputs are the parts of the state and the batch, and whose outputs what it moves and its metrics. */
interface Traced {
  readonly program: Program;
  readonly metrics: readonly string[];
}

function typeOf({ shape, dtype }: tf.Tensor): ValueType {
  return { shape, dtype };
}

function traced<Batch extends Params>(
  step: PureStep<Batch>,
  state: Tree<Tree<ValueType>>,
  batch: Batch,
  precision: Precision,
): Traced {
  const trees: readonly Tree<ValueType>[] = [...PARTS.map((part) => state[part]), mapTree(typeOf)(batch as Params)];
  let metrics: readonly string[] = [];
  const program = trace(
    (inputs) => {
      let next = 0;
      const [frozen, trained, optimiser, given] = trees.map((tree) => mapTree(() => inputs[next++])(tree));
      const [after, numbers] = step({ frozen, trained, optimiser }, given as Batch);
      metrics = Object.keys(numbers);
      return [
        ...Object.keys(state.trained).map((path) => after.trained[path]),
        ...Object.keys(state.optimiser).map((path) => after.optimiser[path]),
        ...Object.values(numbers),
      ];
    },
    trees.flatMap((tree) => Object.values(tree)),
    { precision },
  );
  return { program: gpuPasses(program), metrics };
}

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

/** A step for one size of batch. */
interface Sized {
  readonly metrics: readonly string[];
  readonly body: Program;
  readonly lowered: GpuProgram;
  readonly runner: Runner;
  readonly constants: ReadonlyMap<ValueId, tf.Tensor>;
  /** Buffers of the batch, which each batch is copied to; none for what stays, which is read where it is. */
  readonly batch: readonly (GPUBuffer | undefined)[];
  /** Buffers of metrics, by root. */
  readonly made: Map<number, GPUBuffer>;
  /** Where the metrics are read from. */
  readonly readback: GPUBuffer;
}

/** The memory of a state. */
type Buffers = readonly GPUBuffer[];

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
  const types: Tree<Tree<ValueType>> = mapTree((tree: Params) => mapTree(typeOf)(tree))({ ...state });
  const held = new Held(gpu, state.frozen);
  const moving = [...Object.values(state.trained), ...Object.values(state.optimiser)];
  const spare = moving.map(({ shape, dtype }) =>
    tf.keep(tf.engine().makeTensorFromTensorInfo(gpu.output(shape, dtype)))
  );
  /** Which of the two copies is the state. */
  let turn = 0;
  const copies: readonly (readonly tf.Tensor[])[] = [moving, spare];
  const sizes = new Map<string, Sized>();
  let plain: Resident<Batch> | undefined;

  const sized = (batch: Batch, staying: Params): Sized | string => {
    const key = Object.entries(batch)
      .map(([name, { shape, dtype }]) => `${name} ${dtype} ${shape}${name in staying ? " stays" : ""}`).join("|");
    const known = sizes.get(key);
    if (known !== undefined) return known;
    const { program, metrics } = traced(step, types, batch, precision);
    const { target, limits } = targetInUse();
    const halved = precision === "f16" ? halvedInputs(program, paths.length) : undefined;
    const lowered = lowerBody(program, target, limits, halved);
    if ("reason" in lowered) return lowered.reason;
    const { body, constants } = constantsOf(program);
    const { device } = gpu;
    const own: Sized = {
      metrics,
      body,
      lowered,
      constants,
      made: new Map(),
      runner: new Runner(gpu, lowered),
      batch: Object.entries(batch).map(([name, { size }]) =>
        name in staying ? undefined : device.createBuffer({
          size: Math.max(4, 4 * size),
          usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
        })
      ),
      readback: device.createBuffer({
        size: 4 * metrics.length,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      }),
    };
    sizes.set(key, own);
    return own;
  };
  const takeStep = async (own: Sized, batch: Batch): Promise<Readonly<Record<string, number>>> => {
    const { body, lowered, runner, readback, metrics } = own;
    const [from, to]: Buffers[] = [turn, 1 - turn].map((at) => copies[at].map((tensor) => gpu.bufferOf(tensor)));
    const given = Object.values(batch).map((tensor, i) => own.batch[i] ?? gpu.bufferOf(tensor));
    const inputs = [...paths.map((path) => held.bufferOf(path)), ...from, ...given];
    // Whatever has to be brought to the GPU is brought there first: tfjs collects it until the flush.
    const constants = new Map([...own.constants].map(([value, tensor]) => [value, gpu.bufferOf(tensor)]));
    gpu.flush();
    const encoder = gpu.device.createCommandEncoder();
    Object.values(batch).forEach((tensor, i) => {
      const to = own.batch[i];
      if (to !== undefined) copyIn(gpu, encoder, tensor, to);
    });
    const results = resultBuffers(body, lowered, to, gpu, own.made);
    const bufferOf = (root: number): GPUBuffer => {
      const { place } = lowered.roots[root];
      if (typeof place !== "object") return results.get(root)!;
      return "input" in place ? inputs[place.input] : constants.get(place.constant)!;
    };
    runner.encode(encoder, bufferOf);
    body.outputs.forEach((value, i) => {
      const buffer = bufferOf(lowered.rootOf(value));
      if (i >= to.length) encoder.copyBufferToBuffer(buffer, 0, readback, 4 * (i - to.length), 4);
      else if (buffer !== to[i]) {
        encoder.copyBufferToBuffer(buffer, 0, to[i], 0, lowered.bytesOf(lowered.rootOf(value)));
      }
    });
    gpu.device.queue.submit([encoder.finish()]);
    await readback.mapAsync(GPUMapMode.READ);
    const numbers = new Float32Array(readback.getMappedRange().slice(0));
    readback.unmap();
    gpu.check();
    const found = Object.fromEntries(metrics.map((name, i) => [name, numbers[i]]));
    if (Number.isFinite(found.loss)) turn = 1 - turn;
    return found;
  };

  const disposeSizes = () => {
    for (const { runner, batch, made, readback, constants } of sizes.values()) {
      runner.dispose();
      for (const buffer of [...batch, ...made.values(), readback]) buffer?.destroy();
      for (const tensor of constants.values()) tensor.dispose();
    }
    sizes.clear();
  };
  /** What moves, as it is now; its tensors stay this step's. */
  const current = (): Omit<StepState, "frozen"> => {
    let next = 0;
    const now = mapTree(() => copies[turn][next++]);
    return { trained: now(state.trained), optimiser: now(state.optimiser) };
  };
  const frozenNow = (make: (path: Path) => tf.Tensor): Params =>
    Object.fromEntries(paths.map((path) => [path, make(path)]));
  return {
    step: async (given, staying = {}) => {
      const batch = { ...given, ...staying } as Batch;
      if (plain !== undefined) return await plain.step(batch);
      if (precision === "f16") await held.halve();
      const own = sized(batch, staying);
      if (typeof own !== "string") return await takeStep(own, batch);
      options.onFallback?.(`the step runs kernel by kernel: ${own}`);
      const now = { frozen: frozenNow((path) => held.tensorOf(path)), ...current() };
      held.disposeHalves();
      disposeSizes();
      tf.dispose([...copies[1 - turn]]);
      plain = fallback(step, now);
      return await plain.step(batch);
    },
    read: (parts = PARTS) => {
      if (plain !== undefined) return plain.read(parts);
      const now = current();
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
      tf.dispose([...moving, ...spare]);
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

/** The buffer that each root that is made for the caller is written to. */
function resultBuffers(
  { outputs }: Program,
  { roots, rootOf, bytesOf }: GpuProgram,
  to: Buffers,
  gpu: Gpu,
  made: Map<number, GPUBuffer>,
): ReadonlyMap<number, GPUBuffer> {
  const found = new Map<number, GPUBuffer>();
  outputs.forEach((value, i) => {
    const root = rootOf(value);
    if (roots[root].place !== "result" || found.has(root)) return;
    if (i < to.length) found.set(root, to[i]);
    else {
      const buffer = made.get(root) ??
        gpu.device.createBuffer({ size: bytesOf(root), usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
      made.set(root, buffer);
      found.set(root, buffer);
    }
  });
  return found;
}
