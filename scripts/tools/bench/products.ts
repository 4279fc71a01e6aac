/**
 * Measures a backend: matrix products, memory traffic, and the cost of calling an operation at all: `products.ts JOB`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type BackendName, type Precision, useBackend } from "../../../dsl/mod.ts";
import { answer } from "./job.ts";
import { median } from "./statistics.ts";

/** A matrix product [n, k] by [k, m]. */
export type ProductShape = readonly [n: number, k: number, m: number];

/** Matrix products to measure. */
export interface ProductJob {
  /** What kind of job it is. */
  readonly kind: "product";
  /** Engine. */
  readonly backend: BackendName;
  /** Which products, small ones first: an engine that is slow at one is spared the rest. */
  readonly shapes: readonly ProductShape[];
  /** Precision of the products; bf16 has float32 tensors all the same. */
  readonly precision: Precision;
  /** Calls of each that are timed. */
  readonly repeats: number;
}

/** Measured products. */
export interface ProductAnswer {
  /** What computed, in words. */
  readonly engine: string;
  /** Duration of every product. */
  readonly products: readonly { readonly shape: ProductShape; readonly seconds: readonly number[] }[];
  /** Seconds of an operation on two numbers. */
  readonly operationSeconds?: readonly number[];
  /** Bytes read and written in a second by adding one number to many. */
  readonly bytesPerSecond?: readonly number[];
}

/** Durations of an action that ends with a tensor; reading one number of it waits for the whole. */
async function durations(repeats: number, action: () => tf.Tensor): Promise<readonly number[]> {
  const seconds: number[] = [];
  for (let i = 0; i < 1 + repeats; i++) {
    const began = performance.now();
    const first = tf.tidy(() => tf.slice(tf.reshape(action(), [-1]), 0, 1));
    await first.data();
    first.dispose();
    seconds.push((performance.now() - began) / 1000);
  }
  return seconds.slice(1);
}

/** Operations in one measurement of their overhead. */
const CHAIN = 200;

/** Seconds of a product after which no larger ones are tried. */
const PATIENCE = 0.2;

/** Numbers in one measurement of memory traffic: 64 MB, beyond any cache. */
const LONG = 2 ** 24;

await answer(async ({ backend, shapes, repeats }: ProductJob): Promise<ProductAnswer> => {
  const { tried } = await useBackend(backend);
  const products = [];
  for (const shape of shapes) {
    const [n, k, m] = shape;
    const [a, b] = [tf.ones([n, k]), tf.ones([k, m])];
    const seconds = await durations(repeats, () => tf.matMul(a, b));
    tf.dispose([a, b]);
    products.push({ shape, seconds });
    if (median(seconds) > PATIENCE) break;
  }
  const small = tf.ones([2]);
  const chains = await durations(repeats, () => {
    let x: tf.Tensor = small;
    for (let i = 0; i < CHAIN; i++) x = tf.add(x, small);
    return x;
  });
  const [long, one] = [tf.ones([LONG]), tf.scalar(1)];
  const passes = await durations(repeats, () => tf.add(long, one));
  return {
    engine: tried[0].why,
    products,
    operationSeconds: chains.map((seconds) => seconds / CHAIN),
    bytesPerSecond: passes.map((seconds) => 2 * 4 * LONG / seconds),
  };
});
