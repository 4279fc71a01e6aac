/**
 * Exponential moving average of parameters.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { mapTree, type Params } from "../tree.ts";
import { elementwise } from "./bundle.ts";

/** An average that follows the parameters. */
export interface Average {
  /**
   * The average before the first step: the parameters.
   *
   * @param params The parameters
   */
  init(params: Params): Params;
  /**
   * The next average; new tensors.
   *
   * @param average The last average
   * @param params The parameters after a step
   */
  update(average: Params, params: Params): Params;
}

/**
 * e <- decay e + (1 - decay) p.
 *
 * @param decay Weight of the past, e.g. 0.9999
 */
export function ema(decay: number): Average {
  return {
    init: mapTree((tensor: tf.Tensor) => tf.clone(tensor)),
    update: (average, params) =>
      tf.tidy(() => elementwise([average, params], ([e, p]) => [tf.add(e, tf.mul(tf.sub(p, e), 1 - decay))])[0]),
  };
}
