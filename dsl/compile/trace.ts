/**
 * Tracing: an ordinary tfjs function, gradients included, run once on tensors that have shapes but no numbers. A tfjs
 * backend of its own records every kernel call instead of computing it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { recordingFor, type Target } from "../engine/kernels.ts";
import { OneloraError } from "../error.ts";
import type { Call, Constant, Program, ValueId, ValueType } from "./program.ts";
import { ruleOf, traceableKernels } from "./shapes.ts";
import type { SharedBatch } from "./shares.ts";
import { sumByShares } from "./sum_by_shares.ts";

/** Name under which tfjs knows the recording backend. */
const TRACE = "trace";

/** A trace being made. */
interface Recording {
  readonly types: ValueType[];
  readonly constants: Map<ValueId, Constant>;
  readonly calls: Call[];
  /** Values by the identity of their data, or of the tensor itself for one that the function closes over. */
  readonly values: Map<object, ValueId>;
  /** Large constants of one number, by type, shape and number: tfjs' gradients of sums make one as large as what was summed. */
  readonly uniform: Map<string, ValueId>;
  readonly regions: number[];
  shared?: SharedBatch;
}

let current: Recording | undefined;
let lastRegion = 0;

/**
 * Runs a function whose kernel calls must not be merged with equal ones made elsewhere, because it computes again on
 * purpose: keeping the first result would cost more memory than the second computation costs time. Without a trace
 * going on, it just runs.
 *
 * @param f The function
 */
export function apart<Result>(f: () => Result): Result {
  if (current === undefined) return f();
  current.regions.push(++lastRegion);
  try {
    return f();
  } finally {
    current.regions.pop();
  }
}

/**
 * Has a function that is being traced make its sums over a batch's examples share by share. Without a trace going on, it
 * changes nothing.
 *
 * @param batch Tensors of the batch, which hold as much of each example, one example after the other
 * @param shares Examples and shares, and how many examples a step has as a rule
 */
export function sumsInShares(batch: readonly tf.Tensor[], shares: Omit<SharedBatch, "values">): void {
  if (current === undefined) return;
  const recording = current;
  recording.shared = { ...shares, values: batch.map((tensor) => valueOf(recording, tensor)) };
}

/**
 * Rows that a step has as a rule, where one is being traced of more or fewer examples: what is computed in one of several ways
 * by the number of rows is so computed in the same way wherever.
 *
 * @param rows Rows of the batch
 */
export function rowsOfStep(rows: number): number {
  const { usual, examples } = current?.shared ?? { usual: 1, examples: 1 };
  return rows / examples * usual;
}

function newValue(recording: Recording, data: object, type: ValueType): ValueId {
  const value = recording.types.length;
  recording.types.push({ shape: [...type.shape], dtype: type.dtype });
  recording.values.set(data, value);
  return value;
}

/** The value of a tensor that a kernel reads; one of another backend is closed over. */
function valueOf(recording: Recording, tensor: tf.TensorInfo): ValueId {
  // Tensors of other backends are told apart by themselves: several may share their data under different shapes.
  const known = recording.values.get(tensor.dataId) ?? recording.values.get(tensor);
  if (known !== undefined) return known;
  const value = newValue(recording, tensor, tensor);
  recording.constants.set(value, { kind: "tensor", tensor: tensor as tf.Tensor });
  return value;
}

/** Numbers from which on a constant is looked through for being one number all over. */
const LARGE = 1024;

/** What tells a large constant of one number from others; undefined for any other. */
function uniformName(values: tf.TypedArray, shape: readonly number[], dtype: tf.DataType): string | undefined {
  if (values.length < LARGE) return undefined;
  const [first] = values;
  return values.every((value) => Object.is(value, first))
    ? `${dtype} ${shape} ${Object.is(first, -0) ? "-0" : first}`
    : undefined;
}

/** Records instead of computing. */
class TraceBackend extends tf.KernelBackend {
  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    const data = {};
    if (current === undefined) return data;
    const { constants, uniform, values: known } = current;
    const numbers = values as tf.TypedArray;
    const name = uniformName(numbers, shape, dtype);
    const same = name === undefined ? undefined : uniform.get(name);
    if (same !== undefined) {
      known.set(data, same);
      return data;
    }
    const value = newValue(current, data, { shape, dtype });
    constants.set(value, { kind: "numbers", values: numbers });
    if (name !== undefined) uniform.set(name, value);
    return data;
  }
  override move(): void {}
  override disposeData(): boolean {
    return true;
  }
  override incRef(): void {}
  override refCount(): number {
    return 1;
  }
  override numDataIds(): number {
    return current?.values.size ?? 0;
  }
  override read(): Promise<tf.BackendValues> {
    throw this.#refusal();
  }
  override readSync(): tf.BackendValues {
    throw this.#refusal();
  }
  override floatPrecision(): 16 | 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override timerAvailable(): boolean {
    return false;
  }
  #refusal(): OneloraError {
    return new OneloraError({
      attempted: "tracing a function",
      found: "a read of a tensor's values",
      allowed: "operations that need shapes only; read results after the call",
    });
  }
}

function record(kernel: string, inputs: tf.NamedTensorInfoMap, attrs: tf.NamedAttrMap): tf.TensorInfo[] {
  const recording = current!;
  const isArray = Array.isArray(inputs);
  const entries = Object.entries(inputs).filter(([, tensor]) => tensor !== undefined && tensor !== null);
  const ids = entries.map(([, tensor]) => valueOf(recording, tensor!));
  const list = ids.map((id) => recording.types[id]);
  const types = ruleOf(kernel)!({
    inputs: Object.fromEntries(entries.map(([name], i) => [name, list[i]])),
    list,
    attrs,
  });
  const outputs = types.map((type) => {
    const data = {};
    return { dataId: data, shape: [...type.shape], dtype: type.dtype, value: newValue(recording, data, type) };
  });
  recording.calls.push({
    kernel,
    inputs: ids,
    names: isArray ? undefined : entries.map(([name]) => name),
    attrs,
    outputs: outputs.map(({ value }) => value),
    region: recording.regions.at(-1) ?? 0,
  });
  return outputs;
}

/** Makes tfjs know the recording backend and its kernels; kernels without a rule are refused when they are called. */
function register(): void {
  if (tf.findBackendFactory(TRACE) === null) tf.registerBackend(TRACE, () => new TraceBackend(), 0);
  for (const kernelName of traceableKernels) {
    if (tf.getKernel(kernelName, TRACE) !== undefined) continue;
    tf.registerKernel({
      kernelName,
      backendName: TRACE,
      kernelFunc: ({ inputs, attrs }) => {
        const outputs = record(kernelName, inputs, attrs ?? {});
        return MANY.has(kernelName) ? outputs : outputs[0];
      },
    });
  }
}

/** Kernels that return an array of tensors. */
const MANY: ReadonlySet<string> = new Set([
  ...[
    "AdamwStep",
    "BlockAttention",
    "BlockAttentionGrad",
    "Elementwise",
    "SoftmaxParts",
    "SplitV",
    "Standardise",
    "Unpack",
  ],
]);

/** Whether a kernel returns an array of tensors. */
export function returnsMany(kernel: string): boolean {
  return MANY.has(kernel);
}

function refused(cause: unknown): unknown {
  const match = /Kernel '(\w+)' not registered/.exec(cause instanceof Error ? cause.message : "");
  if (match === null) return cause;
  return new OneloraError({
    attempted: "tracing a function",
    found: `kernel ${match[1]}, which has no shape rule`,
    allowed: traceableKernels.join(", "),
  }, { cause });
}

/**
 * Records what a function does to tensors of the given types.
 *
 * @param f Function of tensors in, list of tensors out
 * @param inputs Types of its inputs
 * @param target What it is recorded for (default: float32 on the backend in use); the backend need not be there
 * @throws OneloraError if it reads values or calls a kernel without a shape rule
 */
export function trace(
  f: (inputs: tf.Tensor[]) => readonly tf.Tensor[],
  inputs: readonly ValueType[],
  target: Partial<Target> = {},
): Program {
  if (current !== undefined) {
    throw new OneloraError({
      attempted: "tracing a function",
      found: "a trace going on",
      allowed: "one trace at a time",
    });
  }
  register();
  const engine = tf.engine();
  const before = tf.getBackend();
  const recording: Recording = {
    types: [],
    constants: new Map(),
    calls: [],
    values: new Map(),
    uniform: new Map(),
    regions: [],
  };
  current = recording;
  // Runs to its end at once: the recording backend needs no asynchronous start.
  void tf.setBackend(TRACE);
  engine.startScope("trace");
  try {
    const abstract = inputs.map(({ shape, dtype }) => {
      const data = {};
      newValue(recording, data, { shape, dtype });
      return engine.makeTensorFromTensorInfo({ dataId: data, shape: [...shape], dtype });
    });
    const results = recordingFor({ backend: before, precision: "float32", ...target }, () => f(abstract));
    const outputs = results.map((tensor) => valueOf(recording, tensor));
    const program: Program = {
      types: recording.types,
      inputs: abstract.map(({ dataId }) => recording.values.get(dataId)!),
      outputs,
      constants: recording.constants,
      calls: recording.calls,
    };
    return recording.shared === undefined ? program : sumByShares(program, recording.shared);
  } catch (cause) {
    throw refused(cause);
  } finally {
    engine.endScope();
    void tf.setBackend(before);
    current = undefined;
  }
}
