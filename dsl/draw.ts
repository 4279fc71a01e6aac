/**
 * What a training step draws at random: words that a step is given, from which every layer that drops numbers out derives
 * its own by its path. An evaluation is given none, and draws nothing.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { fold, type Key, key } from "./random.ts";
import type { Params, Path } from "./tree.ts";

/** One source of random numbers of a step. */
export interface Draw {
  /** The step's words, int32 [2]. */
  readonly words: tf.Tensor;
  /** What tells this source from others of the step. */
  readonly salt: Key;
}

/** Where a step's words are among its parameters, none of which has such a path. */
const WORDS = "(draws)";

/**
 * The words of a key.
 *
 * @param of The key of a step, or of a part of it
 * @returns int32 [2], the caller's to dispose
 */
export function drawWords({ high, low }: Key): tf.Tensor {
  return tf.tensor1d(Int32Array.of(high, low), "int32");
}

/**
 * Parameters with which a layer draws.
 *
 * @param params The layer's parameters
 * @param words What {@linkcode drawWords} made
 */
export function drawing(params: Params, words: tf.Tensor): Params {
  return { ...params, [WORDS]: words };
}

/**
 * The source of a layer, if its parameters are those of a training step.
 *
 * @param params All parameters
 * @param path The layer's path, or one below it
 */
export function drawAt(params: Params, path: Path): Draw | undefined {
  const words = params[WORDS];
  return words && { words, salt: fold(key(0), "draw", path) };
}
