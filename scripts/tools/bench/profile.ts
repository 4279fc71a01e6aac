/**
 * Where a step's time goes: every kernel of a backend wrapped by a clock that counts operations and bytes.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";

/** What limits a kernel: arithmetic of products, arithmetic element by element, sums, or copying memory. */
export type KernelKind = "matrix product" | "elementwise" | "reduction" | "movement";

/** One kernel's share of a step. */
export interface KernelShare {
  /** tfjs kernel. */
  readonly kernel: string;
  /** What limits it. */
  readonly kind: KernelKind;
  /** Calls. */
  readonly calls: number;
  /** Time in it, kernels that it called included. */
  readonly seconds: number;
  /** Floating-point operations of products, 2 a multiply-add; 0 for other kernels. */
  readonly flops: number;
  /** Bytes of its inputs and outputs. */
  readonly bytes: number;
}

const kinds: Readonly<Record<Exclude<KernelKind, "elementwise">, RegExp>> = {
  "matrix product": /MatMul|Conv2D|Linear|Attention/,
  reduction: /^(Sum|Mean|Max|Min|Prod|All|Any|ArgM|Cumsum|LogSoftmax|Softmax|Standardise|LayerNorm)/,
  movement:
    /^(Transpose|Concat|Pack|Unpack|Slice|StridedSlice|SplitV|PadV2|Tile|Gather|Scatter|OneHot|Reshape|Identity|Cast|ExpandDims|BroadcastTo|Fill|ZerosLike|OnesLike|Reverse|Range)/,
};

/**
 * What limits a kernel.
 *
 * @param kernel Its name
 */
export function kindOf(kernel: string): KernelKind {
  const found = Object.entries(kinds).find(([, pattern]) => pattern.test(kernel));
  return found === undefined ? "elementwise" : found[0] as KernelKind;
}

function bytesOf(infos: readonly tf.TensorInfo[]): number {
  return infos.reduce(
    (sum, { shape, dtype }) => sum + tf.util.sizeFromShape(shape) * tf.util.bytesPerElement(dtype),
    0,
  );
}

/** Bytes read and written; none where the result is another view of an input. */
function bytesMoved(inputs: readonly tf.TensorInfo[], outputs: readonly tf.TensorInfo[]): number {
  const isView = outputs.every(({ dataId }) => inputs.some((input) => input.dataId === dataId));
  return isView ? 0 : bytesOf(inputs) + bytesOf(outputs);
}

/** Operations of a product, from the shapes around it: output elements times what is summed for each. */
function flopsOf(kernel: string, inputs: readonly tf.TensorInfo[], outputs: readonly tf.TensorInfo[]): number {
  if (kindOf(kernel) !== "matrix product") return 0;
  const [left, right] = inputs.map(({ shape }) => shape);
  const made = outputs[0].shape;
  const size = tf.util.sizeFromShape(made);
  if (/Conv2D/.test(kernel)) return 2 * size * tf.util.sizeFromShape(right.slice(0, -1));
  // [n, k] by [k, m]: nk · km · nm = (nkm)².
  const [a, b, c] = [left, right, made].map((shape) => tf.util.sizeFromShape(shape.slice(-2)));
  const batch = size / c;
  return 2 * batch * Math.sqrt(a * b * c);
}

/** A kernel's inputs as a list. */
function listed(inputs: unknown): readonly tf.TensorInfo[] {
  const each: readonly (tf.TensorInfo | readonly tf.TensorInfo[] | undefined | null)[] = Object.values(
    inputs as object,
  );
  return each.flat().filter((input) => input !== undefined && input !== null);
}

/** A profile being taken. */
export interface Profiling {
  /** Forgets what was counted so far. */
  readonly reset: () => void;
  /** What was counted, most time first. */
  readonly shares: () => readonly KernelShare[];
}

/**
 * Puts a clock around every kernel of the backend in use. Functions compiled from now on run with it. Kernels are taken
 * to compute before they return, as those of tensorflow, wasm and cpu do.
 */
export function profileKernels(): Profiling {
  const backendName = tf.getBackend();
  const counted = new Map<string, { calls: number; seconds: number; flops: number; bytes: number }>();
  let isRunning = false;
  for (const config of tf.getKernelsForBackend(backendName)) {
    const { kernelName, kernelFunc } = config;
    tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel({
      ...config,
      kernelFunc: (call) => {
        // What a kernel calls is part of it.
        if (isRunning) return kernelFunc(call);
        isRunning = true;
        const began = performance.now();
        let result: ReturnType<tf.KernelFunc>;
        try {
          result = kernelFunc(call);
        } finally {
          isRunning = false;
        }
        const seconds = (performance.now() - began) / 1000;
        const [inputs, outputs] = [listed(call.inputs), listed(Array.isArray(result) ? result : [result])];
        const before = counted.get(kernelName) ?? { calls: 0, seconds: 0, flops: 0, bytes: 0 };
        counted.set(kernelName, {
          calls: before.calls + 1,
          seconds: before.seconds + seconds,
          flops: before.flops + flopsOf(kernelName, inputs, outputs),
          bytes: before.bytes + bytesMoved(inputs, outputs),
        });
        return result;
      },
    });
  }
  return {
    reset: () => counted.clear(),
    shares: () =>
      [...counted].map(([kernel, totals]) => ({ kernel, kind: kindOf(kernel), ...totals }))
        .sort((a, b) => b.seconds - a.seconds),
  };
}
