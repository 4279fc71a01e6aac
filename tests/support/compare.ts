/** Comparing tensors with fixtures. @module */
import { assert } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { openSafetensors, type Params, type Path, toTensor, valueAndGradients } from "../../dsl/mod.ts";

/** All tensors of a safetensors file whose name starts with a prefix, which is taken off. */
export async function fixture(path: string, prefix = ""): Promise<Params> {
  await using checkpoint = await openSafetensors(path);
  const tensors: Record<Path, tf.Tensor> = {};
  for (const name of checkpoint.names) {
    if (name.startsWith(prefix)) tensors[name.slice(prefix.length)] = toTensor(await checkpoint.read(name));
  }
  return tensors;
}

/** Largest |a - b| relative to the largest |b|. */
export function relativeError(found: tf.Tensor, expected: tf.Tensor): number {
  assert(`${found.shape}` === `${expected.shape}`, `shape [${found.shape}], expected [${expected.shape}]`);
  return tf.tidy(() => {
    const difference = tf.max(tf.abs(tf.sub(found, expected))).dataSync()[0];
    return difference / Math.max(tf.max(tf.abs(expected)).dataSync()[0], 1e-30);
  });
}

/** Asserts that tensors agree relative to the largest expected value, or absolutely where all of it is tiny. */
export function assertClose(found: tf.Tensor, expected: tf.Tensor, tolerance: number, what: string): void {
  const largest = tf.tidy(() => tf.max(tf.abs(expected)).dataSync()[0]);
  const error = relativeError(found, expected) * Math.max(largest, 1e-30);
  assert(error <= tolerance * Math.max(largest, 0.1), `${what}: error ${error}, largest expected ${largest}`);
}

/** Runs a test body and asserts that it leaves no tensors behind, its arguments' included. */
export async function withoutLeaks(body: () => Promise<void>): Promise<void> {
  const before = tf.memory().numTensors;
  tf.engine().startScope();
  try {
    await body();
  } finally {
    tf.engine().endScope();
  }
  const after = tf.memory().numTensors;
  assert(after === before, `${after - before} tensors left behind`);
}

/** Gradients by path of a scalar function of parameters. */
export function gradients(loss: (params: Params) => tf.Scalar, params: Params): Params {
  const { loss: value, gradients } = valueAndGradients((params) => ({ loss: loss(params) }))(params);
  value.dispose();
  return gradients;
}
