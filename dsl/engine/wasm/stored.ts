/**
 * Matrices on the wasm engine as files have them, halves or blocks: less memory, and less that a product of a few rows has to
 * read. Their numbers are those of the float32 that they stand for, and everything is computed in float32 from them.
 *
 * @module
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { isBlockForm } from "../../blocks.ts";
import { requireBlocks } from "../../block_conversion.ts";
import { dequantised } from "../../quantise.ts";
import { toFloat32 } from "../../safetensors/dtype.ts";
import type { Reading } from "../interface.ts";
import { isHalfForm, markStored, type StoredForm, storedForm } from "../stored.ts";
import { codeOf, wasmForms } from "./forms.ts";
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
  heap.functions.widen(codeOf(storedForm(x)!), heap.address(x), heap.address(out), size(x.shape));
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
const SHARING: ReadonlySet<string> = new Set(["ExpandDims", "Identity", "Reshape"]);

/** What is known of a stored matrix besides its form. */
interface Stored {
  readonly memoryOffset: number;
  /** Its own dimensions; those of tensors that share its bytes may be others. */
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** The numbers of a matrix, or some of them. */
function numbersOf(form: StoredForm, { shape }: Stored, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  if (!isHalfForm(form)) return dequantised({ form, shape, bytes });
  return toFloat32({ dtype: form === "bf16" ? "BF16" : "F16", shape, data: new Uint16Array(bytes.buffer) });
}

let isReady = false;

/** Lets tfjs-wasm read what is stored: its numbers, and its kernels them. */
function prepare(backend: BackendWasm): void {
  isReady = true;
  const { wasm, dataIdMap } = backend as unknown as Inside;
  const readSync = backend.readSync.bind(backend);
  backend.readSync = (dataId, start, end) => {
    const form = storedForm({ dataId } as tf.TensorInfo);
    if (form === undefined) return readSync(dataId, start, end);
    const stored = dataIdMap.get(dataId) as Stored;
    const { memoryOffset: at, shape, bytes } = stored;
    const [from, to] = [start || 0, end || size(shape)];
    // Blocks are read whole.
    if (!isHalfForm(form)) return numbersOf(form, stored, wasm.HEAPU8.slice(at, at + bytes)).slice(from, to);
    return numbersOf(form, stored, wasm.HEAPU8.slice(at + from * 2, at + to * 2));
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
 * Keeps bytes as a tensor, whose numbers all kernels can read. tfjs's code is not told of its memory, so that nothing could take
 * the bytes for float32.
 *
 * @param bytes Little-endian, as files have them
 * @param form What they are
 * @param shape Dimensions
 * @returns Nothing where our kernels are not there, or do not read the form
 * @throws OneloraError for bytes that are not of the form and shape
 */
export function hold(bytes: Uint8Array, form: StoredForm, shape: readonly number[]): tf.Tensor | undefined {
  if (!wasmForms.has(form) || !handling.has(tf.getKernel("BatchMatMul", "wasm")?.kernelFunc)) return undefined;
  if (isBlockForm(form)) requireBlocks(form, shape, bytes);
  const backend = tf.backend() as BackendWasm;
  if (!isReady) prepare(backend);
  const inside = backend as unknown as Inside;
  const memoryOffset = inside.wasm._malloc(bytes.length) >>> 0;
  inside.wasm.HEAPU8.set(bytes, memoryOffset);
  const dataId = { id: inside.dataIdNextNumber++ };
  const info = { shape: [...shape], dtype: "float32" as const };
  inside.dataIdMap.set(dataId, { id: dataId.id, memoryOffset, bytes: bytes.length, refCount: 1, ...info });
  return markStored(tf.engine().makeTensorFromTensorInfo({ dataId, ...info }), form);
}

/** Numbers of a matrix that is worth keeping as its file has it: below, a step's calls cost more than memory does. */
const WORTH_KEEPING = 2 ** 18;

/**
 * Whether a tensor stays as its file has it.
 *
 * @param form What that is
 * @param shape Its dimensions
 * @param reading What for: where texts are gone on with, products of few rows are as fast as the matrix is small
 */
export function staysAsRead(form: StoredForm, shape: readonly number[], reading: Reading): boolean {
  return wasmForms.has(form) && shape.length === 2 && (reading === "decoding" || size(shape) >= WORTH_KEEPING);
}
