/**
 * What an example of text is, whatever columns it came in.
 *
 * @module
 */
import { fold, key } from "../../dsl/random.ts";
import type { ChatMessage } from "../../models/mod.ts";

/** A chat; what the assistant says is learned. */
export interface Chat {
  /** What it is. */
  readonly kind: "chat";
  /** Who says what. */
  readonly messages: readonly ChatMessage[];
  /** Descriptions of functions that the assistant may call. */
  readonly tools?: readonly unknown[];
  /** Messages before this one are given, the assistant's too (default 0). */
  readonly given?: number;
}

/** A text and how it goes on. */
export interface Pair {
  /** What it is. */
  readonly kind: "pair";
  /** What is given. */
  readonly prompt: string;
  /** What is learned. */
  readonly completion: string;
  /** Whether it is a question and its answer, which a model of chats is asked in a chat. */
  readonly asked?: true;
}

/** An instruction, what it is about, and what is to be answered (Taori et al. 2023). */
export interface Instruction {
  /** What it is. */
  readonly kind: "instruction";
  /** What to do. */
  readonly instruction: string;
  /** What with; may be empty. */
  readonly input: string;
  /** What is learned. */
  readonly output: string;
}

/** A text that is learned from its beginning. */
export interface PlainText {
  /** What it is. */
  readonly kind: "text";
  /** The text. */
  readonly text: string;
}

/** A question with several answers, of which one is right. */
export interface Choice {
  /** What it is. */
  readonly kind: "choice";
  /** The question. */
  readonly question: string;
  /** The answers. */
  readonly choices: readonly string[];
  /** Which is right, from 0. */
  readonly answer: number;
}

/** An example of text. */
export type TextExample = Chat | Pair | Instruction | PlainText | Choice;

/** A row of data: values by column, or by the name that a shape has for it. */
export type TextRow = Readonly<Record<string, unknown>>;

/** Examples to learn from, and to be judged by. */
export interface TextSplits {
  /** To learn from. */
  readonly train: readonly TextExample[];
  /** To be judged by. */
  readonly held: readonly TextExample[];
}

/**
 * Holds examples out at random: they are put in order of a hash keyed by the seed and their content, so that the parts do not
 * depend on the order of the file; at least one stays on each side.
 *
 * @param examples At least two
 * @param seed Decides the split
 * @param share Of them is held out
 */
export function holdOut(examples: readonly TextExample[], seed: number, share: number): TextSplits {
  const root = fold(key(seed), "held out");
  const ranked = examples.map((example) => ({ example, ...fold(root, JSON.stringify(example)) }));
  ranked.sort((a, b) => a.high - b.high || a.low - b.low);
  const ordered = ranked.map(({ example }) => example);
  const count = Math.min(Math.max(1, Math.round(share * ordered.length)), ordered.length - 1);
  return { train: ordered.slice(count), held: ordered.slice(0, count) };
}

/** A chat's turns up to an answer of the assistant's, and the answer; undefined if nothing is to be learned. */
export function lastAnswer(
  { messages, given = 0 }: Chat,
): readonly [before: readonly ChatMessage[], answer: ChatMessage] | undefined {
  const last = messages.findLastIndex(({ role }, i) => role === "assistant" && i >= given);
  return last < 0 ? undefined : [messages.slice(0, last), messages[last]];
}
