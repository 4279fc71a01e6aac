/**
 * Settings of reasoning alone.
 *
 * @module
 */
import { integer, type SettingsOf } from "../trainer/setting.ts";

/** Settings of reasoning alone. */
export interface ReasoningSettings {
  /** Tokens of an example at most. */
  readonly length?: number;
  /** Tokens of an answer at most. */
  readonly answerTokens?: number;
  /** Questions answered in an evaluation. */
  readonly samples?: number;
}

/** Their declarations. */
export const reasoningSettings: SettingsOf<ReasoningSettings> = {
  length: integer({ help: "tokens of a training or validation example at most; longer ones are cut", min: 1 }),
  answerTokens: integer({ aside: true, help: "tokens of an answer at most (default 512)", min: 1 }),
  samples: integer({
    aside: true,
    help: "questions answered in an evaluation; 0 for the loss alone",
    min: 0,
  }),
};
