/**
 * How a text is continued: what is asked for, else what the model's files say.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import type { GenerationOptions } from "../../models/mod.ts";
import type { GenerationDefaults } from "../../models/companions/generation.ts";

/** How a text is continued. */
export interface ContinueSettings {
  /** Text to go on with, or what a user says in a chat. */
  readonly prompt?: string;
  /** Answer the prompt as a user's message, by the model's own chat template. */
  readonly chat?: boolean;
  /** Most tokens to add; by default as the model's generation_config.json says, else 128. */
  readonly maxTokens?: number;
  /** The logits' divisor; 0 takes the likeliest token; by default the model's own, else 0. */
  readonly temperature?: number;
  /** Sample among the likeliest tokens of this probability together; by default the model's own, else 1. */
  readonly topP?: number;
  /** Precision of weights and matrix products; bf16 is the tensorflow backend's (default float32). */
  readonly precision?: Precision;
}

/** Tokens where neither the settings nor the model's files say how many. */
export const MOST_TOKENS = 128;

/** How a text is continued: as the settings say, else as the model's files do, else by the likeliest tokens. */
export function generationOf(
  defaults: GenerationDefaults,
  prompt: readonly number[],
  { maxTokens, temperature, topP }: Pick<ContinueSettings, "maxTokens" | "temperature" | "topP">,
): Omit<GenerationOptions, "key" | "end"> {
  const { maxNewTokens, maxLength, minNewTokens, minLength = 0, suppress, suppressFirst } = defaults;
  const chosen = temperature ?? (defaults.sample ? defaults.temperature ?? 1 : 0);
  if (topP !== undefined && topP < 1 && chosen === 0) {
    const found = temperature === undefined ? "the model's temperature, 0" : "`temperature: 0`";
    throw new OneloraError({
      attempted: `sampling with \`topP: ${topP}\``,
      found: `${found}, which takes the likeliest token`,
      allowed: "`temperature` above 0 beside it",
    }, { exitCode: 2 });
  }
  const room = maxLength === undefined ? undefined : Math.max(1, maxLength - prompt.length);
  return {
    maxTokens: maxTokens ?? maxNewTokens ?? room ?? MOST_TOKENS,
    minTokens: minNewTokens ?? Math.max(0, minLength - prompt.length),
    temperature: chosen,
    topK: defaults.topK,
    topP: topP ?? defaults.topP,
    minP: defaults.minP,
    repetitionPenalty: defaults.repetitionPenalty,
    suppress,
    suppressFirst,
  };
}
