/**
 * Questions of one's own, in memory.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { OwnDataOptions } from "../data/own.ts";
import type { ReasoningExample } from "./example.ts";
import type { ReasoningData } from "./open.ts";

/** A prompt and the response that is wanted. */
export interface PromptPair {
  /** What is asked. */
  readonly prompt: string;
  /** What is to be said. */
  readonly response: string;
}

/**
 * Whether an example is a prompt and a response.
 *
 * @param example Anything
 */
export function isPromptPair(example: object): example is PromptPair {
  return "prompt" in example && typeof example.prompt === "string" &&
    "response" in example && typeof example.response === "string";
}

function examplesOf(pairs: readonly PromptPair[], name: string): readonly ReasoningExample[] {
  const empty = pairs.findIndex(({ prompt, response }) => prompt.trim() === "" || response.trim() === "");
  if (empty < 0) return pairs.map(({ prompt, response }) => ({ query: prompt, response }));
  throw new OneloraError({
    attempted: `reading example ${empty} of \`${name}\``,
    found: "an empty text",
    allowed: "a prompt and a response",
  }, { exitCode: 2 });
}

/**
 * Your own prompts and responses as data.
 *
 * @param train Examples to learn from
 * @param test Examples to be judged by; a fifth, which the seed decides, is held out where there are none
 * @param options See {@linkcode OwnDataOptions}
 * @throws OneloraError (exit code 2) for too few examples, and empty texts
 */
export function ownPairs(
  train: readonly PromptPair[],
  test: readonly PromptPair[] | undefined,
  { onLine }: OwnDataOptions,
): ReasoningData {
  const least = test === undefined ? 3 : 1;
  if (train.length < least || test?.length === 0) {
    const allowed = test === undefined ? "at least three, or `test`" : "at least one to learn from and one in `test`";
    const found = `${train.length} examples`;
    throw new OneloraError({ attempted: "reading `data`", found, allowed }, { exitCode: 2 });
  }
  if (test === undefined) {
    onLine(`note: a fifth of ${train.length} examples is held out to be judged by; \`test\` gives others`);
  }
  return {
    name: "own",
    examples: examplesOf(train, "data"),
    ...(test === undefined ? {} : { test: examplesOf(test, "test") }),
    skipped: 0,
  };
}
