/**
 * A model's own answers to questions.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { key } from "../../dsl/random.ts";
import { inTurn } from "../../dsl/ranks.ts";
import type { Params } from "../../dsl/tree.ts";
import { openDecoder } from "../../models/llama/decoder.ts";
import { collected, goOn } from "../../models/llama/generate.ts";
import type { CausalLanguageModel } from "../../models/llama/language_model.ts";
import type { TextTokenizer } from "../../models/llama/text_tokenizer.ts";
import { isSameAnswer } from "./answers/answer.ts";
import { encodeOpen, endOf } from "./encode.ts";
import type { ReasoningExample } from "./example.ts";
import { alpacaPrompt } from "./template.ts";

/** How answers are generated. */
export interface RespondOptions {
  /** Most tokens of an answer (default 512). */
  readonly maxTokens?: number;
  /** Questions at a time (default 16). */
  readonly batchSize?: number;
}

/**
 * The likeliest answer to each question, token by token, in batches of prompts of similar length.
 *
 * @param layer The model
 * @param params Its parameters
 * @param tokenizer Its tokenizer
 * @param queries The questions
 * @param options See {@linkcode RespondOptions}
 * @returns Answers in the order of the questions
 * @throws OneloraError if the tokenizer has no end token, exit code 2 for a value out of range
 */
export async function respond(
  layer: CausalLanguageModel,
  params: Params,
  tokenizer: TextTokenizer,
  queries: readonly string[],
  options: RespondOptions = {},
): Promise<readonly string[]> {
  return await respondTo(
    layer,
    params,
    tokenizer,
    queries.map((query) => encodeOpen(tokenizer, alpacaPrompt(query))),
    options,
  );
}

/**
 * The likeliest text after each prompt, token by token, in batches of prompts of similar length.
 *
 * @param layer The model
 * @param params Its parameters
 * @param tokenizer Its tokenizer
 * @param asked Token ids of the prompts
 * @param options See {@linkcode RespondOptions}
 * @returns Answers in the order of the prompts
 * @throws OneloraError if the tokenizer has no end token, exit code 2 for a value out of range
 */
export async function respondTo(
  layer: CausalLanguageModel,
  params: Params,
  tokenizer: TextTokenizer,
  asked: readonly (readonly number[])[],
  options: RespondOptions = {},
): Promise<readonly string[]> {
  const { maxTokens = 512, batchSize = 16 } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    const found = `batch size ${batchSize}`;
    throw new OneloraError({ attempted: "answering", found, allowed: "a positive whole number" }, { exitCode: 2 });
  }
  const end = tokenizer.ends ?? [endOf(tokenizer)];
  const prompts = asked.map((ids, index) => ({ index, ids }))
    .sort((a, b) => a.ids.length - b.ids.length);
  const answers: string[] = new Array(asked.length);
  const batches = Array.from(
    { length: Math.ceil(prompts.length / batchSize) },
    (_, i) => prompts.slice(i * batchSize, (i + 1) * batchSize),
  );
  const decoder = openDecoder(layer, params);
  const found = inTurn(batches, async (batch) => {
    const ids = batch.map(({ ids }) => ids);
    const rows = await collected(goOn(decoder, ids, { maxTokens, end, key: key(0) }), batch.length);
    // Float32 holds ids, which are far below 2^24, as they are.
    return Float32Array.from(rows.flatMap((ids) => [ids.length, ...ids]));
  });
  try {
    for await (const [batch, numbers] of found) {
      let at = 0;
      for (const { index } of batch) {
        const begin = at + 1;
        const ids = [...numbers.subarray(begin, at = begin + numbers[at])];
        // What ends an answer is no part of it, whether or not the tokenizer calls it special.
        answers[index] = tokenizer.decode(end.includes(ids.at(-1)!) ? ids.slice(0, -1) : ids).trim();
      }
    }
  } finally {
    decoder.dispose();
  }
  return answers;
}

/** A question, its worked answer and a model's. */
export interface Responded {
  /** The question. */
  readonly query: string;
  /** The true worked answer. */
  readonly truth: string;
  /** The model's. */
  readonly response: string;
  /** Whether both come to the same, see {@linkcode isSameAnswer}. */
  readonly correct: boolean;
}

/** How often a model is right. */
export interface ExactMatch {
  /** Share of questions answered rightly, 0 to 1. */
  readonly exactMatch: number;
  /** Each question. */
  readonly responses: readonly Responded[];
}

/**
 * The share of questions to which a model's likeliest answer says the same after `The answer is:` as the true one.
 *
 * @param layer The model
 * @param params Its parameters
 * @param tokenizer Its tokenizer
 * @param examples Questions with their true answers, at least one
 * @param options See {@linkcode RespondOptions}
 * @throws OneloraError for no questions; see {@linkcode respond}
 */
export async function evaluateExactMatch(
  layer: CausalLanguageModel,
  params: Params,
  tokenizer: TextTokenizer,
  examples: readonly ReasoningExample[],
  options: RespondOptions = {},
): Promise<ExactMatch> {
  if (examples.length === 0) {
    throw new OneloraError({ attempted: "measuring exact match", found: "no questions", allowed: "at least one" });
  }
  const texts = await respond(layer, params, tokenizer, examples.map(({ query }) => query), options);
  const responses = examples.map(({ query, response: truth }, i): Responded => {
    return { query, truth, response: texts[i], correct: isSameAnswer(truth, texts[i]) };
  });
  return { exactMatch: responses.filter(({ correct }) => correct).length / examples.length, responses };
}
