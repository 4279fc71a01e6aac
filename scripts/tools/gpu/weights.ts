/**
 * Random weights of large models in little time: one block of normal numbers, repeated, where a model draws its own.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type AnyLayer, fold, key, normal, type Params, sizeOf, specs } from "../../../dsl/mod.ts";

/** Numbers of the block. */
const BLOCK = 2 ** 16;

/**
 * Weights for those parameters that are drawn from a normal distribution and larger than the block.
 *
 * @param layer The model
 */
export function roughWeights(layer: AnyLayer): Params {
  const block = normal(fold(key(0), "block"), BLOCK);
  const large = Object.entries(specs(layer)).flatMap(([path, { shape, init }]) => {
    if (init.kind !== "normal" || sizeOf(shape) <= BLOCK) return [];
    const scaled = block.map((each) => each * init.std);
    const values = new Float32Array(sizeOf(shape));
    for (let at = 0; at < values.length; at += BLOCK) values.set(scaled.subarray(0, values.length - at), at);
    return [[path, tf.tensor(values, [...shape])] as const];
  });
  return Object.fromEntries(large);
}
