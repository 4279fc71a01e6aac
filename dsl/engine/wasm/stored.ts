/**
 * Matrices in bfloat16 on the wasm engine: half of the memory, and half of what a product of a few rows has to read. Their
 * numbers are those of the float32 that they stand for, and everything is computed in float32 from them.
 *
 * @module
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { fromBfloat16 } from "../../safetensors/dtype.ts";
import { markStored, storedForm } from "../stored.ts";
import type { Kernel } from "./kernel.ts";
import type { Heap } from "./module.ts";
import { size } from "./shape.ts";

/** What is used here of the fields that tfjs-wasm keeps to itself. */
interface Inside {
  readonly wasm: { readonly HEAPU8: Uint8Array; readonly _malloc: (bytes: number) => number };
  readonly dataIdMap: tf.DataStorage<object>;
  dataIdNextNumber: number;
}

/** Inputs of a kernel: named, or as a list. */
type Inputs = Readonly<Record<string, tf.TensorInfo | undefined>>;

/** Which inputs are stored. */
function storedAmong(inputs: Inputs): readonly (readonly [name: string, tensor: tf.TensorInfo])[] {
  return Object.entries(inputs).flatMap(([name, tensor]) =>
    tensor && storedForm(tensor) !== undefined ? [[name, tensor] as const] : []
  );
}

/** Inputs with others in some places; a list stays one. */
function withOthers<T extends Inputs>(inputs: T, others: Inputs): T {
  return Object.assign(Array.isArray(inputs) ? [...inputs] : { ...inputs }, others) as unknown as T;
}

/**
 * A kernel that gets float32 in the place of what is stored, for the time of its call.
 *
 * @param kernel A kernel of ours
 */
export function ofNumbers(kernel: Kernel): Kernel {
  return (heap, call) => {
    const stored = storedAmong(call.inputs);
    if (stored.length === 0) return kernel(heap, call);
    const made = Object.fromEntries(stored.map(([name, tensor]) => [name, widened(heap, tensor)]));
    try {
      return kernel(heap, { ...call, inputs: withOthers(call.inputs, made) as typeof call.inputs });
    } finally {
      Object.values(made).forEach(heap.release);
    }
  };
}

/** A stored tensor's numbers. */
function widened(heap: Heap, x: tf.TensorInfo): tf.TensorInfo {
  const out = heap.output(x.shape);
  heap.functions.widen(heap.address(x), heap.address(out), size(x.shape));
  return out;
}

/**
 * The same for a kernel of tfjs's.
 *
 * @param kernelFunc The kernel
 */
export function ofPlainNumbers(kernelFunc: tf.KernelFunc): tf.KernelFunc {
  return (params) => {
    const stored = storedAmong(params.inputs);
    if (stored.length === 0) return kernelFunc(params);
    const backend = params.backend as BackendWasm;
    const made = Object.fromEntries(stored.map(([name, { dataId, shape }]) => {
      return [name, backend.makeOutput([...shape], "float32", undefined, backend.readSync(dataId))] as const;
    }));
    try {
      return kernelFunc({ ...params, inputs: withOthers(params.inputs, made) as tf.NamedTensorInfoMap });
    } finally {
      for (const { dataId } of Object.values(made)) backend.disposeData(dataId);
    }
  };
}

/** Kernels whose result has the data of their input. */
const SHARING: ReadonlySet<string> = new Set(["ExpandDims", "Reshape"]);

let isReady = false;

/** Lets tfjs-wasm read what is stored: its numbers, and its kernels them. */
function prepare(backend: BackendWasm): void {
  isReady = true;
  const { wasm, dataIdMap } = backend as unknown as Inside;
  const readSync = backend.readSync.bind(backend);
  backend.readSync = (dataId, start, end) => {
    if (storedForm({ dataId } as tf.TensorInfo) === undefined) return readSync(dataId, start, end);
    const { shape } = dataIdMap.get(dataId) as { readonly shape: readonly number[] };
    const [from, to] = [start || 0, end || size(shape)].map((at) => backend.getMemoryOffset(dataId) + at * 2);
    return fromBfloat16(new Uint16Array(wasm.HEAPU8.slice(from, to).buffer));
  };
  for (const config of tf.getKernelsForBackend("wasm")) {
    if (SHARING.has(config.kernelName) || handling.has(config.kernelFunc)) continue;
    tf.unregisterKernel(config.kernelName, config.backendName);
    tf.registerKernel({ ...config, kernelFunc: ofPlainNumbers(config.kernelFunc) });
  }
}

/** Kernels that can be given what is stored. */
const handling = new WeakSet<tf.KernelFunc>();

/**
 * Says that a kernel can be given what is stored.
 *
 * @param kernelFunc The kernel
 */
export function handlesStored(kernelFunc: tf.KernelFunc): tf.KernelFunc {
  handling.add(kernelFunc);
  return kernelFunc;
}

/**
 * Keeps bytes of bfloat16 as a tensor, whose numbers all kernels can read. tfjs's code is not told of its memory, so that
 * nothing could take the bytes for float32.
 *
 * @param bytes Little-endian
 * @param shape Dimensions
 * @returns Nothing where our kernels are not there
 */
export function holdHalf(bytes: Uint8Array, shape: readonly number[]): tf.Tensor | undefined {
  if (!handling.has(tf.getKernel("BatchMatMul", "wasm")?.kernelFunc)) return undefined;
  const backend = tf.backend() as BackendWasm;
  if (!isReady) prepare(backend);
  const inside = backend as unknown as Inside;
  const memoryOffset = inside.wasm._malloc(bytes.length) >>> 0;
  inside.wasm.HEAPU8.set(bytes, memoryOffset);
  const dataId = { id: inside.dataIdNextNumber++ };
  const info = { shape: [...shape], dtype: "float32" as const };
  inside.dataIdMap.set(dataId, { id: dataId.id, memoryOffset, refCount: 1, ...info });
  return markStored(tf.engine().makeTensorFromTensorInfo({ dataId, ...info }), "bf16");
}
