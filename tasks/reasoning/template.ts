/**
 * The Alpaca prompt (Taori et al. 2023), as MoRA's training on MetaMathQA uses it (Jiang et al. 2024).
 *
 * @module
 */

const WITH_INPUT =
  "Below is an instruction that describes a task, paired with an input that provides further context. " +
  "Write a response that appropriately completes the request.\n\n### Instruction:\n";
const WITHOUT_INPUT = "Below is an instruction that describes a task. " +
  "Write a response that appropriately completes the request.\n\n### Instruction:\n";
const INPUT = "\n\n### Input:\n";
const RESPONSE = "\n\n### Response:";

/** The parts of the prompt that are the same in every example, in order of appearance. */
export const alpacaParts: readonly string[] = [WITH_INPUT, WITHOUT_INPUT, INPUT, RESPONSE];

/**
 * The prompt of a query. Its first line is the instruction and the rest, if any, the input. The response follows the
 * prompt's colon directly, without a space, and the token that ends a text follows the response.
 *
 * @param query The question
 *
 * @example
 * ```ts
 * import { alpacaPrompt } from "@onelora/onelora/tasks";
 * import { assert } from "@std/assert";
 * assert(alpacaPrompt("What is 2 + 3?").endsWith("### Instruction:\nWhat is 2 + 3?\n\n### Response:"));
 * assert(alpacaPrompt("Add.\n2, 3").endsWith("### Instruction:\nAdd.\n\n### Input:\n2, 3\n\n### Response:"));
 * ```
 */
export function alpacaPrompt(query: string): string {
  const lineEnd = query.indexOf("\n");
  return lineEnd < 0 ? alpacaText(query) : alpacaText(query.slice(0, lineEnd), query.slice(lineEnd + 1));
}

/**
 * The prompt of an instruction and its input.
 *
 * @param instruction What to do
 * @param input What with, if anything
 */
export function alpacaText(instruction: string, input = ""): string {
  return input === ""
    ? `${WITHOUT_INPUT}${instruction}${RESPONSE}`
    : `${WITH_INPUT}${instruction}${INPUT}${input}${RESPONSE}`;
}
