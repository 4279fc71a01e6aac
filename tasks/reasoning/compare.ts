/**
 * Answers of a model to questions of validation, to be compared with another's (paper, Appendix C).
 *
 * @module
 */
import { asLanguageModel } from "../../models/mod.ts";
import type { EvaluationRun } from "../trainer/task.ts";
import type { TrainedModel } from "../trainer/prediction.ts";
import type { ReasoningData } from "./open.ts";
import { openQuestions } from "./questions.ts";
import { evaluateExactMatch, type Responded } from "./respond.ts";
import type { ReasoningSettings } from "./settings.ts";
import { answering } from "./task.ts";

/**
 * A model's likeliest answers to the first questions of validation, which are a random choice; the loss over all of them is
 * not computed.
 *
 * @param trained The model
 * @param data The questions
 * @param run Seed of the split, greatest length and how many questions
 */
export async function validationAnswers(
  { model, layer, params }: TrainedModel,
  data: ReasoningData,
  run: EvaluationRun<ReasoningSettings>,
): Promise<readonly Responded[]> {
  const questions = await openQuestions(model, data, run);
  const { asked, tokenizer } = questions;
  const language = asLanguageModel(model, layer);
  return (await evaluateExactMatch(language, params, tokenizer, asked, answering(questions))).responses;
}
