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
  /** Questions answered in an evaluation. */
  readonly samples?: number;
}

/** Their declarations. */
export const reasoningSettings: SettingsOf<ReasoningSettings> = {
  length: integer({ help: "tokens of an example at most", min: 1 }),
  samples: integer({
    aside: true,
    help: "questions answered in an evaluation; 0 for none, and the loss alone",
    min: 0,
  }),
};
