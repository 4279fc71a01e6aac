/** Counting what a replay really holds. @module */
import * as tf from "@tensorflow/tfjs-core";
import type { Call } from "../../dsl/mod.ts";

/**
 * The largest number of bytes that the cpu backend held in the results of some kernels, looked at after every call.
 *
 * @param calls The calls whose kernels are watched
 * @param given Tensors whose data does not count, even if a result shares it
 * @param run What runs them
 */
export function peakOfResults(calls: readonly Call[], given: readonly tf.Tensor[], run: () => void): number {
  const backend = tf.backend();
  const alive = new Map<object, number>();
  const resident = new Set<object>(given.map(({ dataId }) => dataId));
  let peak = 0;
  const originals = [...new Set(calls.map(({ kernel }) => kernel))].map((name) => tf.getKernel(name, "cpu"));
  for (const original of originals) {
    tf.unregisterKernel(original.kernelName, "cpu");
    tf.registerKernel({
      ...original,
      kernelFunc: (call) => {
        const result = original.kernelFunc(call);
        for (const { dataId, shape, dtype } of Array.isArray(result) ? result : [result]) {
          if (!resident.has(dataId)) alive.set(dataId, tf.util.sizeFromShape(shape) * (dtype === "bool" ? 1 : 4));
        }
        let now = 0;
        for (const [id, bytes] of alive) {
          if (backend.refCount(id) > 0) now += bytes;
          else alive.delete(id);
        }
        peak = Math.max(peak, now);
        return result;
      },
    });
  }
  try {
    run();
  } finally {
    for (const original of originals) {
      tf.unregisterKernel(original.kernelName, "cpu");
      tf.registerKernel(original);
    }
  }
  return peak;
}
