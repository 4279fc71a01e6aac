/**
 * What a language model is to those who use one: what it reads, whole or piece by piece, and what it makes of it.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { Layer } from "../../dsl/layer.ts";
import type { AttentionOptions, KeysAndValues } from "../../dsl/ops/attention.ts";
import type { RotaryTable } from "../../dsl/ops/rotary.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import { type Description, requireFamilies } from "../family.ts";

/** Where tokens stand that are read together. */
export interface Places {
  /** Position of each new token, [N]. */
  readonly queries: readonly number[];
  /** Positions of all keys of each row, those read before first, [B][M]; below 0 where nothing is to be seen. */
  readonly keys: readonly ArrayLike<number>[];
  /** Positions there are so far, on which some models' angles depend. */
  readonly length: number;
}

/** Reading otherwise than a whole text at once: piece by piece, and how the attention sees what was read before. */
export interface Decoding {
  /**
   * See {@linkcode CausalLanguageModel}; those of a whole text if absent.
   *
   * @internal
   */
  readonly surroundings?: Surroundings;
  /**
   * Called with an attention layer's keys and values of the new positions, [B, KV, N, hd] each; returns those of the positions
   * before, [B, KV, M - N, hd], if there are any.
   *
   * @internal
   */
  readonly remember?: (layer: Path, key: tf.Tensor, value: tf.Tensor) => KeysAndValues | undefined;
  /**
   * What is made in the place of logits.
   *
   * @internal
   */
  readonly ending?: Ending;
}

/** A language model's head, for some rows of what it reads. */
export interface Head {
  /** Parameters of its own, and the table it shares, that are trained. */
  readonly trained: Params;
  /** Logits of rows [R, D], [R, V], by these parameters in the place of those. */
  readonly logits: (rows: tf.Tensor2D, trained: Params) => tf.Tensor2D;
}

/** What is made of what the head reads, [B, N, D], in the place of all logits. */
export type Ending = (x: tf.Tensor, head: Head) => tf.Tensor;

/** What all blocks share. */
export interface Surroundings {
  /** Angles of the new positions. */
  readonly angles: RotaryTable;
  /** Added to the scores, [B or 1, 1, N, M]; absent where everything is visible. */
  readonly mask?: tf.Tensor;
  /** The same, where tokens of a whole text see those that came before them. */
  readonly causal?: AttentionOptions["causal"];
}

/**
 * A causal language model: ids [B, N], int32, and optionally which positions are no padding, [B, N] of ones and zeros, or
 * which each position sees, [B, N, N] -> logits [B, N, V]. When decoding, the logits of the last position alone, [B, 1, V].
 */
export interface CausalLanguageModel
  extends Layer<readonly [ids: tf.Tensor, attentionMask?: tf.Tensor, decoding?: Decoding], tf.Tensor> {
  /**
   * What its blocks are to know of tokens in some places.
   *
   * @internal
   */
  readonly surroundings: (places: Places) => Surroundings;
}

/**
 * The layer of a model of this family, which a description hides, adapted or not.
 *
 * @param model The model
 * @param layer Its layer
 * @throws OneloraError (exit code 2) for a model of another family
 */
export function asLanguageModel(model: Pick<Description, "family">, layer: Layer): CausalLanguageModel {
  requireLanguageModel(model, "using a model for text");
  return layer as CausalLanguageModel;
}

/** Names of the families whose blocks are LLaMA's, LLaMA first. */
const languageFamilies = ["llama", "mistral", "qwen2", "smollm3"];

/**
 * Checks that a model is one of language.
 *
 * @param model The model
 * @param attempted What it is to be used for
 * @throws OneloraError (exit code 2) if it is of another family
 */
export function requireLanguageModel(model: Pick<Description, "family">, attempted: string): void {
  requireFamilies(model, languageFamilies, attempted);
}
