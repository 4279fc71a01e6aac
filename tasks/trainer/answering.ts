/**
 * Questions that a task asks its models, to compare their answers.
 *
 * @module
 */
import type { Model } from "../../models/mod.ts";
import type { Needs } from "./needs.ts";
import type { TrainedModel } from "./prediction.ts";
import type { EvaluationRun } from "./run_settings.ts";

/** A question that was asked, and what came of it. */
export interface Answered {
  /** The question. */
  readonly query: string;
  /** The true answer. */
  readonly truth: string;
  /** The model's. */
  readonly response: string;
}

/** A question with the answers of several models. */
export interface ComparedAnswers extends Omit<Answered, "response"> {
  /** Answers by the name of the model or adapter that gave them; the same names in the same order everywhere. */
  readonly answers: Readonly<Record<string, string>>;
}

/** Questions that a task asks its models. */
export interface Answering<Own extends object, Data> {
  /** A model's likeliest answers to the first questions of validation, which are a random choice. */
  answers(trained: TrainedModel, data: Data, run: EvaluationRun<Own>): Promise<readonly Answered[]>;
  /**
   * What that takes by plan, found out before any weight is read.
   *
   * @internal
   */
  needs(model: Model, data: Data, run: EvaluationRun<Own>): Promise<Needs>;
  /** Settings of the task's own that decide, beside data and seed, which examples are learned from. */
  readonly splitBy?: readonly string[];
  /** A page (Markdown) of questions with the answers of several models. */
  report(questions: readonly ComparedAnswers[]): string;
}
