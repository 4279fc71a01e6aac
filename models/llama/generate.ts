/**
 * Text generation, token by token, with the keys and values of what was read kept.
 *
 * @module
 */
import type { Precision } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { fold, type Key, uniform } from "../../dsl/random.ts";
import { release } from "../../dsl/release.ts";
import type { Params } from "../../dsl/tree.ts";
import { turn } from "../../dsl/turn.ts";
import { type Decoder, likelyTokens, openDecoder } from "./decoder.ts";
import type { CausalLanguageModel } from "./language_model.ts";

/** How the next token is chosen. */
export interface SamplingOptions {
  /** The logits' divisor; 0, the default, takes the likeliest token. */
  readonly temperature?: number;
  /** Sample only among so many likeliest tokens, and those as likely as the last of them (default 0: all). */
  readonly topK?: number;
  /** Sample only among the likeliest tokens that have this probability together (Holtzman et al. 2019; default 1: all). */
  readonly topP?: number;
  /** Sample only among tokens that have this share of the likeliest's probability (default 0: all). */
  readonly minP?: number;
}

function bestOf(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token] > logits[best]) best = token;
  return best;
}

/**
 * The distribution from which the next token is drawn: softmax(logits / temperature), cut to the smallest set of likeliest
 * tokens whose probability reaches top-p.
 *
 * @param logits [V]
 * @param options See {@linkcode SamplingOptions}
 * @returns Probabilities, [V]
 *
 * @example
 * ```ts
 * import { tokenDistribution } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * const logits = Float32Array.of(0, 0, -100);
 * assertEquals([...tokenDistribution(logits, { temperature: 1, topP: 0.9 })], [0.5, 0.5, 0]);
 * assertEquals([...tokenDistribution(logits, { temperature: 0 })], [1, 0, 0]);
 * ```
 */
export function tokenDistribution(logits: Float32Array, options: SamplingOptions = {}): Float64Array {
  const { temperature = 0, topK = 0, topP = 1, minP = 0 } = options;
  const best = bestOf(logits);
  if (temperature === 0) return new Float64Array(logits.length).fill(1, best, best + 1);
  const weights = Float64Array.from(logits, (value) => Math.exp((value - logits[best]) / temperature));
  if (topK > 0 && topK < logits.length) {
    const least = logits.slice().sort()[logits.length - topK];
    for (let token = 0; token < logits.length; token++) if (logits[token] < least) weights[token] = 0;
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // The likeliest has the weight 1, whatever else is left out.
  const kept = () => minP > 0 ? weights.map((weight) => weight < minP ? 0 : weight) : weights;
  if (topP >= 1) {
    const all = kept();
    const sum = all.reduce((sum, weight) => sum + weight, 0);
    return all.map((weight) => weight / sum);
  }
  const byWeight = Uint32Array.from(weights, (_, token) => token).sort((a, b) => weights[b] - weights[a]);
  let count = 0;
  let mass = 0;
  while (count < byWeight.length && mass < topP * total) mass += weights[byWeight[count++]];
  const nucleus = byWeight.subarray(0, count).filter((token) => weights[token] >= minP);
  const sum = nucleus.reduce((sum, token) => sum + weights[token], 0);
  const distribution = new Float64Array(weights.length);
  for (const token of nucleus) distribution[token] = weights[token] / sum;
  return distribution;
}

/**
 * The next token, drawn from {@linkcode tokenDistribution}.
 *
 * @param logits [V]
 * @param options See {@linkcode SamplingOptions}
 * @param key Decides the draw
 */
export function sampleToken(logits: Float32Array, options: SamplingOptions, key: Key): number {
  if ((options.temperature ?? 0) === 0) return bestOf(logits);
  const distribution = tokenDistribution(logits, options);
  const [drawn] = uniform(key, 1);
  let mass = 0;
  let last = 0;
  for (let token = 0; token < distribution.length; token++) {
    if (distribution[token] === 0) continue;
    mass += distribution[token];
    last = token;
    if (drawn < mass) break;
  }
  // Rounding may leave the sum a little below 1: then the last possible token is meant.
  return last;
}

/** How to go on with texts. */
export interface GenerationOptions extends SamplingOptions {
  /** Precision of weights and matrix products (default float32). */
  readonly precision?: Precision;
  /** Most tokens to add to a row. */
  readonly maxTokens: number;
  /** Ids after which a row ends (none by default). */
  readonly end?: readonly number[];
  /** Fewest tokens to add before a row may end (default 0). */
  readonly minTokens?: number;
  /** Above 1, makes tokens that a row has already, prompt included, less likely (Keskar et al. 2019; default 1). */
  readonly repetitionPenalty?: number;
  /** Ids that are never chosen. */
  readonly suppress?: readonly number[];
  /** Ids that are not chosen first. */
  readonly suppressFirst?: readonly number[];
  /** Decides all draws. */
  readonly key: Key;
}

function check(prompts: readonly (readonly number[])[], vocabulary: number, options: GenerationOptions): void {
  const { temperature = 0, topP = 1, maxTokens } = options;
  const refuse = (found: string, allowed: string) =>
    new OneloraError({ attempted: "generating text", found, allowed }, { exitCode: 2 });
  if (!(temperature >= 0 && temperature < Infinity)) throw refuse(`temperature ${temperature}`, "0 or more");
  if (!(topP > 0 && topP <= 1)) throw refuse(`top-p ${topP}`, "more than 0, at most 1");
  if (!(Number.isInteger(maxTokens) && maxTokens > 0)) throw refuse(`${maxTokens} tokens`, "a positive integer");
  if (prompts.length === 0 || prompts.some(({ length }) => length === 0)) {
    throw refuse("an empty prompt", "at least one token");
  }
  const strange = prompts.flat().find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary));
  if (strange !== undefined) throw refuse(`token ${strange}`, `ids below ${vocabulary}`);
}

/**
 * A row's logits as its settings change them, in transformers' order.
 *
 * @param logits [V]
 * @param text The row so far, its prompt included
 * @param count Tokens that were added to it
 * @param options See {@linkcode GenerationOptions}
 */
export function processedLogits(
  logits: Float32Array,
  text: readonly number[],
  count: number,
  options: GenerationOptions,
): Float32Array {
  const { end = [], minTokens = 0, repetitionPenalty: penalty = 1, suppress = [], suppressFirst = [] } = options;
  const never = [...suppress, ...count === 0 ? suppressFirst : [], ...count < minTokens ? end : []];
  if (penalty === 1 && never.length === 0) return logits;
  const changed = logits.slice();
  if (penalty !== 1) {
    for (const id of new Set(text)) changed[id] = changed[id] < 0 ? changed[id] * penalty : changed[id] / penalty;
  }
  for (const id of never) if (id < changed.length) changed[id] = -Infinity;
  return changed;
}

/**
 * Continues one or several texts, giving each step's tokens as they come. Shorter prompts are padded on the left; a row's
 * tokens do not depend on the rows beside it, but for rounding.
 *
 * @param model The model
 * @param params Its parameters
 * @param prompts Token ids of each row
 * @param options See {@linkcode GenerationOptions}
 * @returns One token for each row, the one that ends it included, undefined for rows that have ended
 * @throws OneloraError (exit code 2) for an empty prompt, an unknown token or a value out of range
 */
export async function* generate(
  model: CausalLanguageModel,
  params: Params,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions,
): AsyncGenerator<readonly (number | undefined)[], void, void> {
  check(prompts, model.parts.lm_head.params.weight.shape[0], options);
  const decoder = openDecoder(model, params, { precision: options.precision });
  try {
    yield* goOn(decoder, prompts, options);
  } finally {
    decoder.dispose();
  }
}

/**
 * As {@linkcode generate} does, by a decoder that others may use before and after.
 *
 * @param decoder What reads
 * @param prompts Token ids of each row
 * @param options See {@linkcode GenerationOptions}; the precision is the decoder's
 */
export async function* goOn(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions,
): AsyncGenerator<readonly (number | undefined)[], void, void> {
  const { vocabulary } = decoder;
  check(prompts, vocabulary, options);
  const texts = prompts.map((ids) => [...ids]);
  let live = prompts.map((_, row) => row);
  let logits = await decoder.begin(prompts, Math.min(options.maxTokens, likelyTokens(prompts.length)));
  for (let count = 0; count < options.maxTokens; count++) {
    await turn();
    const tokens = live.map((row, i) =>
      sampleToken(
        processedLogits(logits.subarray(i * vocabulary, (i + 1) * vocabulary), texts[row], count, options),
        options,
        fold(options.key, "generate", row, count),
      )
    );
    release(logits);
    const given: (number | undefined)[] = prompts.map(() => undefined);
    live.forEach((row, i) => {
      given[row] = tokens[i];
      texts[row].push(tokens[i]);
    });
    yield given;
    const goesOn = tokens.map((token) => !(options.end?.includes(token) ?? false));
    if (!goesOn.includes(true) || count + 1 === options.maxTokens) return;
    const left = live.flatMap((_, i) => goesOn[i] ? [i] : []);
    if (left.length < live.length) {
      decoder.keep(left);
      live = left.map((i) => live[i]);
    }
    logits = await decoder.next(left.map((i) => tokens[i]));
  }
}

/**
 * All tokens that {@linkcode generate} gives, by row.
 *
 * @param model The model
 * @param params Its parameters
 * @param prompts Token ids of each row
 * @param options See {@linkcode GenerationOptions}
 */
export async function generateAll(
  model: CausalLanguageModel,
  params: Params,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions,
): Promise<number[][]> {
  return await collected(generate(model, params, prompts, options), prompts.length);
}

/**
 * Tokens by row.
 *
 * @param steps Tokens step by step
 * @param count Rows
 */
export async function collected(
  steps: AsyncIterable<readonly (number | undefined)[]>,
  count: number,
): Promise<number[][]> {
  const rows = Array.from({ length: count }, (): number[] => []);
  for await (const tokens of steps) {
    tokens.forEach((token, row) => token !== undefined && rows[row].push(token));
  }
  return rows;
}
