/**
 * Questions made ready for a model: split, and encoded by the model's own tokenizer.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { type Model, openTokenizer, type TextTokenizer } from "../../models/mod.ts";
import { requireLanguageModel } from "../../models/llama/language_model.ts";
import type { EvaluationRun } from "../trainer/run_settings.ts";
import { wordProblemTokenizer } from "./characters.ts";
import { type EncodedExample, encodeExamples } from "./encode.ts";
import { type ReasoningExample, splitExamples } from "./example.ts";
import type { ReasoningData } from "./open.ts";
import type { ReasoningSettings } from "./settings.ts";

/** Tokens of an example at most where nothing is said, MoRA's. */
export const LENGTH = 512;
/** Questions answered where nothing is said. */
const ASKED = 64;

/** Questions for a model. */
export interface ModelQuestions {
  /** The model's tokenizer. */
  readonly tokenizer: TextTokenizer;
  /** To train on. */
  readonly train: readonly EncodedExample[];
  /** To validate with. */
  readonly validation: readonly EncodedExample[];
  /** The first of those, which are a random choice, as text: to be answered. */
  readonly asked: readonly ReasoningExample[];
  /** Tokens of an answer at most. */
  readonly answerTokens: number;
  /** Questions at a time in evaluations. */
  readonly evalBatch?: number;
  /** What was left out, a line each. */
  readonly notes: readonly string[];
}

/**
 * The tokenizer of a model's folder, with all ids that end the model's texts: the tokenizer's, and those of `config.json` and
 * `generation_config.json`. For a preset that starts from random numbers, that of the built-in problems.
 *
 * @param model The model
 */
export async function tokenizerOf({ folder }: Model): Promise<TextTokenizer> {
  return folder === undefined ? wordProblemTokenizer() : await openTokenizer(folder);
}

/**
 * Refuses token ids that a model does not have.
 *
 * @param model The model
 * @param encoded Examples in its tokenizer's ids
 * @throws OneloraError for an id beyond the model's vocabulary
 */
export function checkIds(model: Model, encoded: readonly EncodedExample[]): void {
  const { below = Infinity } = model.signature.inputs[0] as { readonly below?: number };
  const strange = encoded.flatMap(({ ids }) => ids.find((id) => id >= below) ?? [])[0];
  if (strange === undefined) return;
  throw new OneloraError({
    attempted: `encoding questions for ${model.name}`,
    found: `token ${strange} in its tokenizer`,
    allowed: `ids below ${below}, the model's vocabulary`,
  });
}

/**
 * Makes questions ready for a model: split 80 to 20 by the seed, in the model's tokens.
 *
 * @param model A model of the LLaMA family
 * @param data The questions
 * @param run Seed, greatest length and numbers of questions
 * @throws OneloraError for data, a tokenizer or a model that cannot be used
 */
export async function openQuestions(
  model: Model,
  { name, examples, test, skipped }: ReasoningData,
  run: Pick<EvaluationRun<ReasoningSettings>, "limit" | "seed" | "evalBatch" | "own">,
): Promise<ModelQuestions> {
  requireLanguageModel(model, "answering questions");
  const { limit = Infinity, evalBatch, own: { length = LENGTH, answerTokens = LENGTH, samples = ASKED } } = run;
  const tokenizer = await tokenizerOf(model);
  const split = test === undefined ? splitExamples(examples, run.seed ?? 0) : { train: examples, validation: test };
  const [train, validation] = [split.train, split.validation].map((part) =>
    encodeExamples(tokenizer, part.slice(0, limit), length)
  );
  checkIds(model, [...train.encoded, ...validation.encoded]);
  const left = (count: number, why: string) => count === 0 ? [] : [`${count} questions left out: ${why}`];
  return {
    tokenizer,
    train: train.encoded,
    validation: validation.encoded,
    asked: split.validation.slice(0, Math.min(limit, samples)),
    answerTokens,
    evalBatch,
    notes: [
      ...left(skipped, `rows of ${name} without a text that is needed`),
      ...left(train.tooLong + validation.tooLong, `prompts of ${length} tokens or more`),
    ],
  };
}
