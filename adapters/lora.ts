/**
 * LoRA (paper Eq. 2; Hu et al. 2021) and rsLoRA (Kalajdzievski 2023).
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { between, zeros } from "../dsl/initialise.ts";
import type { ParamSpec } from "../dsl/layer.ts";
import { addLowRank, type LinearShape } from "../dsl/linear.ts";
import type { LowRank } from "../dsl/ops/low_rank.ts";
import { type Adapter, stage, trainable } from "./adapter.ts";

/** Options of {@linkcode lora}. */
export interface LoraOptions {
  /** Rank r (default 1, the paper's regime). */
  readonly rank?: number;
  /** Numerator of the scale s (default r, so that s = 1). */
  readonly alpha?: number;
  /** rsLoRA: s = alpha / sqrt(r) instead of alpha / r. */
  readonly rankStabilised?: boolean;
}

/**
 * s = alpha / r, or alpha / sqrt(r) for rsLoRA.
 *
 * @param options See {@linkcode LoraOptions}
 */
export function loraScale({ rank = 1, alpha = rank, rankStabilised = false }: LoraOptions): number {
  return alpha / (rankStabilised ? Math.sqrt(rank) : rank);
}

/**
 * LoRA's factors: `A` [r, k] ~ U(±1/sqrt(k)), `B` [d, r] = 0.
 *
 * @param shape The layer's dimensions
 * @param rank r
 */
export function loraFactors({ inFeatures, outFeatures }: LinearShape, rank: number): Record<"A" | "B", ParamSpec> {
  return {
    A: trainable([rank, inFeatures], between(1 / Math.sqrt(inFeatures))),
    B: trainable([outFeatures, rank], zeros),
  };
}

/**
 * ΔW = s B A as low-rank factors.
 *
 * @param param The adapter's parameters
 * @param scale s
 */
export function loraUpdate(param: (name: string) => Tensor, scale: number): LowRank {
  return { up: param("B"), down: param("A"), scale, trainsDown: true };
}

/**
 * y = W0 x + s B A x + b0. r (k + d) parameters per layer.
 *
 * @param options See {@linkcode LoraOptions}
 */
export function lora(options: LoraOptions = {}): Adapter {
  return {
    name: "lora",
    fit: (shape) => ({
      name: "lora",
      stage: stage.update,
      params: loraFactors(shape, options.rank ?? 1),
      reform: (param) => addLowRank(loraUpdate(param, loraScale(options))),
    }),
  };
}
