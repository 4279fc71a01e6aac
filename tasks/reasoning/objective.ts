/**
 * Mathematical reasoning (paper, section 4.2) as a loss: next-token prediction of the response alone.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { apply } from "../../dsl/apply.ts";
import { crossEntropy } from "../../dsl/ops/mod.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params } from "../../dsl/tree.ts";
import { turn } from "../../dsl/turn.ts";
import { type Span, spansOf, sumOfParts } from "../../dsl/ops/slices.ts";
import type { CausalLanguageModel, Ending } from "../../models/llama/language_model.ts";
import { reasoningBatches } from "./batches.ts";
import { type EncodedExample, IGNORED_LABEL, type TokenBatch } from "./encode.ts";

/**
 * Mean over counted labels of -log softmax(logits[b, n])[labels[b, n + 1]], as transformers' causal language models
 * have it: the first label of a row is never predicted.
 *
 * @param logits [B, N, V]
 * @param labels [B, N], int32; {@linkcode IGNORED_LABEL} does not count
 * @param counted What the sum over labels is divided by (default: how many count), []
 *
 * @example
 * ```ts
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { responseLoss } from "@onelora/onelora/tasks";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const loss = responseLoss(tf.zeros([1, 3, 10]), tf.tensor2d([[-100, 4, 2]], [1, 3], "int32"));
 * assertAlmostEquals(loss.dataSync()[0], Math.log(10), 1e-6);
 * ```
 */
export function responseLoss(logits: tf.Tensor, labels: tf.Tensor, counted?: tf.Tensor): tf.Scalar {
  return crossEntropy(logits, nextLabels(labels), { ignoreIndex: IGNORED_LABEL, total: counted }) as tf.Scalar;
}

/**
 * The label of the token after each. Labels are moved rather than logits, which are V times as large.
 *
 * @param labels [B, N], int32
 * @returns [B, N], the last of each row {@linkcode IGNORED_LABEL}
 */
export function nextLabels(labels: tf.Tensor): tf.Tensor {
  const [batch, length] = labels.shape as [number, number];
  return tf.concat([
    tf.slice(labels, [0, 1], [batch, length - 1]),
    tf.fill([batch, 1], IGNORED_LABEL, "int32"),
  ], 1);
}

/** Bytes of float32 logits that are there at a time. */
const LOGITS = 2 ** 25;

/**
 * Rows whose logits are there together.
 *
 * @param rows All rows
 * @param vocabulary V
 * @param bytes Logits that are there at a time, in bytes of float32 (default 32 MiB)
 */
export function logitSpans(rows: number, vocabulary: number, bytes: number = LOGITS): readonly Span[] {
  return spansOf(rows, Math.ceil(4 * rows * vocabulary / bytes));
}

/**
 * {@linkcode responseLoss} of a model's logits, which are never there all at once where they are many.
 *
 * @param labels [B, N], int32
 * @param vocabulary V
 * @param bytes Logits that are there at a time, in bytes of float32 (default 32 MiB)
 * @param counted What the sum over labels is divided by (default: how many count), []
 */
export function lossEnding(
  labels: tf.Tensor,
  vocabulary: number,
  bytes?: number,
  counted?: tf.Tensor,
): Ending | undefined {
  const rows = labels.size;
  const spans = logitSpans(rows, vocabulary, bytes);
  if (spans.length === 1) return undefined;
  return (x, { trained, logits }) => {
    const paths = Object.keys(trained);
    const next = tf.reshape(nextLabels(labels), [rows]);
    const own = () => tf.maximum(tf.sum(tf.cast(tf.notEqual(next, tf.scalar(IGNORED_LABEL, "int32")), "float32")), 1);
    const total = counted ?? own();
    return sumOfParts(
      tf.reshape(x, [rows, x.shape[2]!]),
      Object.values(trained),
      spans,
      (some, params, [from, length]) =>
        crossEntropy(
          logits(some, Object.fromEntries(paths.map((path, i) => [path, params[i]]))),
          tf.slice(next, [from], [length]),
          { ignoreIndex: IGNORED_LABEL, total },
        ) as tf.Scalar,
    );
  };
}

/**
 * A batch as tensors: ids and labels [B, N], int32, which text each token is of where a row has several, and the weight, [].
 *
 * @param batch The batch
 */
export function tokenTensors({ ids, labels, segments, shape, weight }: TokenBatch): Params {
  return {
    ids: tf.tensor2d(ids, [...shape], "int32"),
    labels: tf.tensor2d(labels, [...shape], "int32"),
    ...(segments && { segments: tf.tensor2d(segments, [...shape], "int32") }),
    weight: tf.scalar(weight),
  };
}

/** Which tokens see which, by the texts that they are of: [B, N] -> [B, N, N] of ones and zeros. */
function sameText(segments: tf.Tensor): tf.Tensor {
  return tf.cast(tf.equal(tf.expandDims(segments, 2), tf.expandDims(segments, 1)), "float32");
}

/**
 * weight * {@linkcode responseLoss} of a batch under a model. Padding needs no mask: it is on the right, where no
 * counted token looks. Of several texts in a row, none sees another.
 *
 * @param layer The model, ids to logits
 */
export function reasoningObjective(layer: CausalLanguageModel): (params: Params, batch: Params) => Objective {
  return (params, { ids, labels, segments, weight, counted }) => {
    const seen = segments === undefined ? undefined : tf.tidy(() => sameText(segments));
    const ending = lossEnding(labels, layer.parts.lm_head.params.weight.shape[0], undefined, counted);
    const made = apply(layer, params)(ids, seen, { ending });
    return { loss: tf.mul(ending === undefined ? responseLoss(made, labels, counted) : made, weight) as tf.Scalar };
  };
}

/** How well a model predicts responses. */
export interface ReasoningMetrics {
  /** Mean of -log p over all tokens of all responses, in nats. */
  readonly loss: number;
  /** exp(loss). */
  readonly perplexity: number;
  /** How many tokens that is. */
  readonly tokens: number;
}

/**
 * Loss and perplexity of a model on questions; every token counts the same, whatever its batch.
 *
 * @param layer The model
 * @param params Its parameters
 * @param examples The questions
 * @param batchSize Questions at a time (default 16)
 * @param multiple Lengths are multiples of this (default 32)
 * @throws OneloraError for no questions
 */
export async function evaluateReasoning(
  layer: CausalLanguageModel,
  params: Params,
  examples: readonly EncodedExample[],
  batchSize = 16,
  multiple = 32,
): Promise<ReasoningMetrics> {
  const objective = reasoningObjective(layer);
  const calls = Math.ceil(examples.length / batchSize);
  const forward = compile((all: Params, batch: Params) => objective(all, batch).loss, { graph: true, calls });
  let total = 0;
  let tokens = 0;
  try {
    const batches = reasoningBatches({ examples, batchSize, seed: 0, shuffle: false, multiple, fill: true });
    const found = inTurn(batches, async (batch) => {
      const loss = tf.tidy(() => forward(params, tokenTensors(batch)));
      const values = await loss.data() as Float32Array;
      loss.dispose();
      await turn();
      return values;
    });
    for await (const [{ counted }, [mean]] of found) {
      total += mean * counted;
      tokens += counted;
    }
  } finally {
    forward.dispose();
  }
  const loss = total / tokens;
  return { loss, perplexity: Math.exp(loss), tokens };
}
