/**
 * The loss of image classification (paper, section 4.4).
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Objective } from "../../dsl/differentiate.ts";
import type { Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import { binaryCrossEntropy, crossEntropy, lookUpBytes } from "../../dsl/ops/mod.ts";
import type { Params } from "../../dsl/tree.ts";

/**
 * Mean cross-entropy of a batch under a model, or, where a picture may have several labels, mean binary cross-entropy over
 * pictures and labels.
 *
 * @param layer The model, pixels to logits
 * @param several Whether a picture may have several labels: `targets` [B, classes] instead of `labels` [B]
 * @param weights Weights of the classes (default 1 each)
 */
export function classificationObjective(
  layer: Layer,
  several: boolean = false,
  weights?: readonly number[],
): (params: Params, batch: Params) => Objective {
  const logits = (params: Params, { pixels, words, table }: Params) =>
    apply(layer, params)(words === undefined ? pixels : lookUpBytes(words, table));
  if (several) {
    return (params, batch) => ({
      loss: binaryCrossEntropy(logits(params, batch), batch.targets, weights, batch.counted) as tf.Scalar,
    });
  }
  return (params, batch) => ({
    loss: crossEntropy(logits(params, batch), batch.labels, {
      classWeights: weights,
      total: batch.counted,
    }) as tf.Scalar,
  });
}
