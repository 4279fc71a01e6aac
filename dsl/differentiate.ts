/**
 * Gradients of scalar functions of parameter trees.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { mapTree, type Params } from "./tree.ts";

/** A scalar to descend, and whatever else is worth reporting. */
export interface Objective {
  /** The loss, shape []. */
  readonly loss: tf.Scalar;
  /** Other scalars by name. */
  readonly metrics?: Readonly<Record<string, tf.Scalar>>;
}

/** An objective with its gradients. */
export interface Differentiated extends Objective {
  /** d loss / d p for every parameter p, by path. */
  readonly gradients: Params;
}

/** Hands a tensor that was kept out of an inner scope to the current one. */
function owned(kept: tf.Scalar): tf.Scalar {
  const copy = tf.clone(kept);
  kept.dispose();
  return copy;
}

/**
 * The objective and its gradients with respect to every given parameter.
 *
 * @param f Objective of a tree of parameters
 *
 * @example
 * ```ts
 * import { useBackend, valueAndGradients } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const { gradients } = valueAndGradients(({ p }) => ({ loss: tf.sum(tf.square(p)) }))({ p: tf.tensor1d([3]) });
 * assertEquals([...gradients.p.dataSync()], [6]);
 * ```
 */
export function valueAndGradients(f: (params: Params) => Objective): (params: Params) => Differentiated {
  return (params) => {
    const paths = Object.keys(params);
    let metrics: Objective["metrics"];
    const { value, grads } = tf.valueAndGrads((...tensors: tf.Tensor[]) => {
      const objective = f(Object.fromEntries(tensors.map((tensor, i) => [paths[i], tensor])));
      metrics = objective.metrics && mapTree((metric: tf.Scalar) => tf.keep(metric))(objective.metrics);
      return objective.loss;
    })(paths.map((path) => params[path]));
    return {
      loss: value as tf.Scalar,
      metrics: metrics && mapTree(owned)(metrics),
      gradients: Object.fromEntries(grads.map((gradient, i) => [paths[i], gradient])),
    };
  };
}
