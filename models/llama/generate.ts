/**
 * Text generation, token by token, with the keys and values of what was read kept.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { apply } from "../../dsl/layer.ts";
import { fold, type Key, uniform } from "../../dsl/random.ts";
import { join, type Params, type Path } from "../../dsl/tree.ts";
import { turn } from "../../dsl/turn.ts";
import type { CausalLanguageModel } from "./llama.ts";

/**
 * What the attention layers remember of the positions read so far: `<layer>.key` and `<layer>.value` of each,
 * [B, KV, length, hd].
 */
export type Cache = Params;

/** What a decoding step gives; the caller disposes it. */
export interface Decoded {
  /** Logits of the token after the last, [B, V]. */
  readonly logits: tf.Tensor2D;
  /** The given cache with the new positions; shares no tensors with it. */
  readonly cache: Cache;
}

/**
 * Reads N more tokens of each row: cache in, cache out.
 *
 * @param model The model
 * @param params Its parameters
 * @returns A function of the cache (`{}` at the start), the ids [B, N] and optionally which of all length + N positions are
 *   no padding
 */
export function decode(
  model: CausalLanguageModel,
  params: Params,
): (cache: Cache, ids: tf.Tensor, attentionMask?: tf.Tensor) => Decoded {
  return (cache, ids, attentionMask) =>
    tf.tidy(() => {
      const longer: Record<Path, tf.Tensor> = {};
      const lengthen = (path: Path, tensor: tf.Tensor) =>
        longer[path] = cache[path] === undefined ? tensor : tf.concat([cache[path], tensor], 2);
      const logits = apply(model, params)(ids, attentionMask, {
        past: Object.values(cache)[0]?.shape[2] ?? 0,
        remember: (layer, key, value) => [lengthen(join(layer, "key"), key), lengthen(join(layer, "value"), value)],
      });
      return { logits: tf.squeeze(logits, [1]) as tf.Tensor2D, cache: longer };
    });
}

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
  return logits.reduce((best, value, token) => value > logits[best] ? token : best, 0);
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

/** A row's logits as its settings change them, in transformers' order. */
function processed(
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

/** Zeros for padding on the left, ones for the rest. */
function counted(padding: number, length: number): number[] {
  return Array.from({ length }, (_, i) => i < padding ? 0 : 1);
}

/**
 * Goes on with one or several texts, giving each step's tokens as they come. Shorter prompts are padded on the left; a row's
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
  const vocabulary = model.parts.lm_head.params.weight.shape[0];
  check(prompts, vocabulary, options);
  const step = decode(model, params);
  const longest = Math.max(...prompts.map(({ length }) => length));
  const padding = prompts.map(({ length }) => longest - length);
  const isPadded = padding.some((count) => count > 0);
  const ended = prompts.map(() => false);
  let rows = prompts.map((ids, row) => [...Array<number>(padding[row]).fill(0), ...ids]);
  const texts = prompts.map((ids) => [...ids]);
  let cache: Cache = {};
  try {
    for (let count = 0; count < options.maxTokens && !ended.every(Boolean); count++) {
      await turn();
      const ids = tf.tensor2d(rows, undefined, "int32");
      const mask = isPadded ? tf.tensor2d(padding.map((pad) => counted(pad, longest + count))) : undefined;
      const decoded = step(cache, ids, mask);
      tf.dispose([ids, ...(mask === undefined ? [] : [mask]), ...Object.values(cache)]);
      cache = decoded.cache;
      const logits = await decoded.logits.data<"float32">();
      decoded.logits.dispose();
      const tokens = prompts.map((_, row) =>
        sampleToken(
          processed(logits.subarray(row * vocabulary, (row + 1) * vocabulary), texts[row], count, options),
          options,
          fold(options.key, "generate", row, count),
        )
      );
      yield tokens.map((token, row) => ended[row] ? undefined : token);
      tokens.forEach((token, row) => ended[row] ||= options.end?.includes(token) ?? false);
      tokens.forEach((token, row) => texts[row].push(token));
      rows = tokens.map((token) => [token]);
    }
  } finally {
    tf.dispose(Object.values(cache));
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
  const rows = prompts.map((): number[] => []);
  for await (const tokens of generate(model, params, prompts, options)) {
    tokens.forEach((token, row) => token !== undefined && rows[row].push(token));
  }
  return rows;
}
