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
 * The objective and its gradients with respect to every given parameter; that of a parameter which the loss does not depend
 * on (published models have such) is zero.
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
    const objective = () => {
      const { loss, metrics: others } = f(params);
      metrics = others && mapTree((metric: tf.Scalar) => tf.keep(metric))(others);
      return loss;
    };
    const found = tf.engine().gradients(objective, paths.map((path) => params[path]), undefined, true);
    const gradients: readonly (tf.Tensor | undefined)[] = found.grads;
    return {
      loss: found.value,
      metrics: metrics && mapTree(owned)(metrics),
      gradients: Object.fromEntries(
        paths.map((path, i) => [path, gradients[i] ?? tf.zeros(params[path].shape)]),
      ),
    };
  };
}
