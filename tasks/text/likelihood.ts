/**
 * Multiple choice by likelihood, as language models' evaluations do it.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { compile } from "../../dsl/compile/mod.ts";
import { apply } from "../../dsl/apply.ts";
import { rowsInTurn } from "../../dsl/ops/slices.ts";
import type { Params } from "../../dsl/tree.ts";
import type { CausalLanguageModel, Ending } from "../../models/llama/language_model.ts";
import { IGNORED_LABEL, padExamples } from "../reasoning/encode.ts";
import { logitSpans, nextLabels } from "../reasoning/objective.ts";
import type { EncodedText } from "./encode.ts";
import type { EncodedChoices } from "./prepare.ts";

/**
 * The sum over each row's counted tokens of log p(token | those before), of logits that are never there all at once where they
 * are many.
 *
 * @param labels [B, N], int32
 * @param vocabulary V
 * @param bytes Logits that are there at a time, in bytes of float32 (default 32 MiB)
 * @returns [B]
 */
export function likelihoodEnding(labels: tf.Tensor, vocabulary: number, bytes?: number): Ending {
  return (x, { trained, logits }) => {
    const rows = labels.size;
    const next = tf.reshape(nextLabels(labels), [rows]);
    const counts = tf.cast(tf.notEqual(next, tf.scalar(IGNORED_LABEL, "int32")), "float32");
    const known = tf.maximum(next, tf.scalar(0, "int32"));
    const chosen = rowsInTurn(
      tf.reshape(x, [rows, x.shape[2]!]),
      logitSpans(rows, vocabulary, bytes),
      (some, [from, length]) =>
        tf.sum(
          tf.mul(tf.logSoftmax(logits(some, trained)), tf.oneHot(tf.slice(known, [from], [length]), vocabulary)),
          -1,
        ),
    );
    return tf.sum(tf.reshape(tf.mul(chosen, counts), labels.shape), 1);
  };
}

/**
 * log p of what counts in each example.
 *
 * @param layer The model
 * @param params Its parameters
 * @param examples The examples
 * @param batchSize Examples at a time
 * @param multiple Lengths are multiples of this
 */
async function likelihoods(
  layer: CausalLanguageModel,
  params: Params,
  examples: readonly EncodedText[],
  batchSize: number,
  multiple: number,
): Promise<readonly number[]> {
  const [vocabulary] = layer.parts.lm_head.params.weight.shape;
  const forward = compile(
    (all: Params, { ids, labels }: Params) =>
      apply(layer, all)(ids, undefined, { ending: likelihoodEnding(labels, vocabulary) }),
    { graph: true },
  );
  const found: number[] = [];
  try {
    for (let begin = 0; begin < examples.length; begin += batchSize) {
      const some = examples.slice(begin, begin + batchSize);
      const { ids, labels, shape } = padExamples(some, multiple, batchSize);
      const rows = tf.tidy(() =>
        forward(params, {
          ids: tf.tensor2d(ids, [...shape], "int32"),
          labels: tf.tensor2d(labels, [...shape], "int32"),
        })
      );
      found.push(...(await rows.data()).slice(0, some.length));
      rows.dispose();
    }
  } finally {
    forward.dispose();
  }
  return found;
}

/** How often the likeliest answer is the right one. */
export interface ChoiceMetrics {
  /** By likelihood, 0 to 1. */
  readonly accuracy: number;
  /** By likelihood a character, so that long answers are not at a disadvantage. */
  readonly accuracyByLength: number;
}

/**
 * Accuracy of a model at questions with choices: an answer's score is log p of its tokens after the question.
 *
 * @param layer The model
 * @param params Its parameters
 * @param questions The questions, at least one
 * @param batchSize Answers at a time
 * @param multiple Lengths are multiples of this
 */
export async function chooseAnswers(
  layer: CausalLanguageModel,
  params: Params,
  questions: readonly EncodedChoices[],
  batchSize: number,
  multiple: number,
): Promise<ChoiceMetrics> {
  const scores = await likelihoods(layer, params, questions.flatMap(({ encoded }) => encoded), batchSize, multiple);
  let [begin, right, rightByLength] = [0, 0, 0];
  const best = (of: readonly number[]) => of.indexOf(Math.max(...of));
  for (const { lengths, answer } of questions) {
    const own = scores.slice(begin, begin += lengths.length);
    if (best(own) === answer) right++;
    if (best(own.map((score, i) => score / lengths[i])) === answer) rightByLength++;
  }
  return { accuracy: right / questions.length, accuracyByLength: rightByLength / questions.length };
}
