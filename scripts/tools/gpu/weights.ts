/**
 * Random weights of large models in little time: one block of random numbers, repeated, where a model draws its own.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type AnyLayer, fold, key, normal, type Params, sizeOf, specs, uniform } from "../../../dsl/mod.ts";

/** Numbers of the block. */
const BLOCK = 2 ** 16;

/**
 * Weights for those parameters that are drawn at random and larger than the block.
 *
 * @param layer The model
 */
export function roughWeights(layer: AnyLayer): Params {
  const own = fold(key(0), "block");
  const [gaussian, flat] = [normal(own, BLOCK), uniform(own, BLOCK).map((each) => 2 * each - 1)];
  const large = Object.entries(specs(layer)).flatMap(([path, { shape, init }]) => {
    if ((init.kind !== "normal" && init.kind !== "uniform") || sizeOf(shape) <= BLOCK) return [];
    const scaled = init.kind === "normal"
      ? gaussian.map((each) => each * init.std)
      : flat.map((each) => each * init.limit);
    const values = new Float32Array(sizeOf(shape));
    for (let at = 0; at < values.length; at += BLOCK) values.set(scaled.subarray(0, values.length - at), at);
    return [[path, tf.tensor(values, [...shape])] as const];
  });
  return Object.fromEntries(large);
}
