/**
 * Gradient accumulation: an update of the parameters every few calls.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../error.ts";
import { combine, mapTree, type Params } from "../tree.ts";
import type { Optimiser } from "./optimiser.ts";

/** Calls so far, or their weights. */
const COUNT = "accumulated/calls";

function sumPath(path: string): string {
  return `accumulated/${path}`;
}

/** Values of a tree that lie under other names, by the names of the first. */
function under(state: Params, paths: readonly string[]): Params {
  return Object.fromEntries(paths.map((path) => [path, state[sumPath(path)]]));
}

/**
 * Lets an optimiser see the mean of `count` gradients at every `count`-th call: g = (g1 + ... + gn) / n. In between the
 * parameters and the optimiser's state stay as they are. A step of a large batch is so done in parts that fit in memory.
 *
 * Calls that say which part of a step they are decide themselves: g = (w1 g1 + ... + wm gm) / (w1 + ... + wm) at the call
 * whose part is the last, whatever m is. Parts of unequal size are so weighed by what they count, and an epoch's last step
 * may have fewer of them.
 *
 * @param count n, at least 1; 1 changes nothing
 * @throws OneloraError if it is not a whole number from 1 on
 *
 * @example
 * ```ts
 * import { accumulate, sgd, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const optimiser = accumulate(2)(sgd());
 * const start = { p: tf.tensor1d([1]) };
 * const rate = tf.scalar(1);
 * const first = optimiser.update({ p: tf.tensor1d([2]) }, optimiser.init(start), start, rate);
 * const second = optimiser.update({ p: tf.tensor1d([4]) }, first.state, first.params, rate);
 * assertEquals([...first.params.p.dataSync(), ...second.params.p.dataSync()], [1, -2]);
 * ```
 */
export function accumulate(count: number): (optimiser: Optimiser) => Optimiser {
  if (!(Number.isInteger(count) && count >= 1)) {
    throw new OneloraError({ attempted: "accumulating gradients", found: `${count} parts`, allowed: "1, 2, ..." });
  }
  if (count === 1) return (optimiser) => optimiser;
  return (optimiser) => ({
    init: (params) => ({
      ...optimiser.init(params),
      ...Object.fromEntries(Object.entries(params).map(([path, { shape }]) => [sumPath(path), tf.zeros(shape)])),
      [COUNT]: tf.scalar(0),
    }),
    update: (gradients, state, params, rate, momentum, part) =>
      tf.tidy(() => {
        const paths = Object.keys(params);
        const before = under(state, paths);
        const weighed = (path: string) => part === undefined ? gradients[path] : tf.mul(gradients[path], part.weight);
        const sums = Object.fromEntries(paths.map((path) => [path, tf.add(before[path], weighed(path))]));
        const calls = tf.add(state[COUNT], part?.weight ?? 1);
        const isLast = part === undefined ? tf.greaterEqual(calls, count) : tf.greater(part.last, 0.5);
        const means = mapTree((sum: tf.Tensor) => tf.div(sum, part === undefined ? count : calls))(sums);
        const next = optimiser.update(means, state, params, rate, momentum);
        const chosen = (made: Params, kept: Params) =>
          Object.fromEntries(Object.keys(made).map((path) => [path, tf.where(isLast, made[path], kept[path])]));
        const left = Object.fromEntries(
          paths.map((path) => [sumPath(path), tf.where(isLast, tf.zerosLike(sums[path]), sums[path])]),
        );
        return {
          params: chosen(next.params, params),
          state: combine(chosen(next.state, state), left, { [COUNT]: tf.where(isLast, tf.zerosLike(calls), calls) }),
        };
      }),
  });
}
