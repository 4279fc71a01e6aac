/**
 * Settings of texts alone.
 *
 * @module
 */
import { boolean, choice, integer, number, type SettingsOf, text } from "../trainer/setting.ts";

/** How an example becomes text. */
const TEMPLATES = ["auto", "chat", "alpaca", "plain"] as const;
/** Which tokens are learned. */
const LEARNED = ["answers", "last", "all"] as const;

/** Settings of texts alone. */
export interface TextSettings {
  /** Tokens of an example at most. */
  readonly length?: number;
  /** Names of columns, e.g. `prompt=question,completion=answer`. */
  readonly columns?: string;
  /** How an example becomes text. */
  readonly template?: "auto" | "chat" | "alpaca" | "plain";
  /** Which tokens are learned. */
  readonly learn?: "answers" | "last" | "all";
  /** File to validate with. */
  readonly validationFile?: string;
  /** Share of the examples that is held out where no file is there to validate with. */
  readonly heldOut?: number;
  /** Several examples in a row of a batch, none of which sees another. */
  readonly pack?: boolean;
  /** Examples answered in an evaluation. */
  readonly samples?: number;
  /** Examples shown before training. */
  readonly preview?: number;
}

/** Their declarations. */
export const textSettings: SettingsOf<TextSettings> = {
  length: integer({ help: "tokens of an example at most (default 512)", min: 2 }),
  columns: text({
    help: "columns with other names, such as prompt=question,completion=answer",
    value: "NAME=COLUMN,...",
  }),
  template: choice({
    help:
      "how an example becomes text: auto is the model's own for chats, and for questions where it has one, Alpaca's for instructions and none for the rest",
    allowed: TEMPLATES,
  }),
  learn: choice({
    help: "which tokens count: the assistant's answers (default), the last one, or all",
    allowed: LEARNED,
  }),
  validationFile: text({ help: "validation file, instead of held-out examples", value: "FILE" }),
  heldOut: number({ help: "share held out for validation, chosen by the seed (default 0.1)", above: 0, below: 1 }),
  pack: boolean({
    training: true,
    help: "put several examples into a row, hidden from each other: fewer and fuller batches",
  }),
  samples: integer({ aside: true, help: "examples answered in an evaluation (default 4); 0 for none", min: 0 }),
  preview: integer({
    aside: true,
    training: true,
    help: "examples shown before training, with what is learned in «» (default 3); 0 for none",
    min: 0,
  }),
};
