/**
 * What memory a language model takes that continues texts.
 *
 * @module
 */
import { planDecoding } from "../../models/llama/decoder.ts";
import { tokenizerBytes } from "../../models/llama/tokenizer_bytes.ts";
import { asLanguageModel, type Model } from "../../models/mod.ts";
import type { Needs } from "../trainer/needs.ts";
import { parameterTypes } from "../trainer/plan.ts";

/** Texts that go on together. */
export interface TextSizes {
  /** How many. */
  readonly rows: number;
  /** Tokens of the longest. */
  readonly length: number;
  /** Tokens that are to come. */
  readonly tokens: number;
}

/**
 * What memory a language model takes that continues texts, its tokenizer included.
 *
 * @param model The model
 * @param sizes How many, and how long
 */
export async function decodingNeeds(model: Model, sizes: TextSizes): Promise<Needs> {
  const held = await tokenizerBytes(model);
  return (layer, kept) =>
    planDecoding(asLanguageModel(model, layer), parameterTypes(layer), { ...sizes, ...kept }).processBytes + held;
}
