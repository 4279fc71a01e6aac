/**
 * What a language model takes that goes on with texts.
 *
 * @module
 */
import type { ValueType } from "../../dsl/compile/mod.ts";
import { type ParamSpec, specs } from "../../dsl/layer.ts";
import { mapTree } from "../../dsl/tree.ts";
import { planDecoding } from "../../models/llama/decoder.ts";
import { asLanguageModel, type Model } from "../../models/mod.ts";
import type { Needs } from "../trainer/needs.ts";

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
 * What a language model takes that goes on with texts.
 *
 * @param model The model
 * @param sizes How many, and how long
 */
export function decodingNeeds(model: Model, sizes: TextSizes): Needs {
  return (layer, kept) => {
    const types = mapTree<ParamSpec, ValueType>(({ shape }) => ({ shape, dtype: "float32" }))(specs(layer));
    return planDecoding(asLanguageModel(model, layer), types, { ...sizes, ...kept }).processBytes;
  };
}
