/**
 * Exponential moving average of parameters.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { combine, mapTree, type Params } from "../tree.ts";
import { elementwise } from "./bundle.ts";
import type { Optimiser } from "./optimiser.ts";

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

const AVERAGE = "average/";

/**
 * Lets an optimiser's state carry an average of the parameters, which {@linkcode averageIn} finds there.
 *
 * @param average How it follows
 */
export function averaging(average: Average): (optimiser: Optimiser) => Optimiser {
  const named = (tree: Params) =>
    Object.fromEntries(Object.entries(tree).map(([path, tensor]) => [`${AVERAGE}${path}`, tensor]));
  return (optimiser) => ({
    init: (params) => combine(optimiser.init(params), named(average.init(params))),
    update: (gradients, state, params, rate, momentum) =>
      tf.tidy(() => {
        const next = optimiser.update(gradients, state, params, rate, momentum);
        return {
          params: next.params,
          state: combine(next.state, named(average.update(averageIn(state), next.params))),
        };
      }),
  });
}

/**
 * The average that an optimiser's state carries, by the paths of the parameters; its tensors stay the state's.
 *
 * @param state State of an optimiser made by {@linkcode averaging}
 */
export function averageIn(state: Params): Params {
  return Object.fromEntries(
    Object.entries(state).filter(([path]) => path.startsWith(AVERAGE))
      .map(([path, tensor]) => [path.slice(AVERAGE.length), tensor]),
  );
}
