/**
 * LoRA (paper Eq. 2; Hu et al. 2021) and rsLoRA (Kalajdzievski 2023).
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { between, zeros } from "../dsl/initialise.ts";
import type { Json } from "../dsl/files/json.ts";
import type { ParamSpec } from "../dsl/layer.ts";
import { addLowRank, type LinearShape } from "../dsl/linear.ts";
import type { LowRank } from "../dsl/ops/low_rank.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { type Fields, peftRank } from "./exchange/fields.ts";
import { flag, type Method, method, positiveNumber, type Setting, type ValuesOf, wholeNumber } from "./method.ts";

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

/** What LoRA and DoRA are told in a specification. */
export const loraSettings: {
  readonly rank: Setting<number>;
  readonly alpha: Setting<number>;
  readonly rslora: Setting<boolean>;
} = {
  rank: wholeNumber("rank r (default 1)"),
  alpha: positiveNumber("numerator of the scale (default: the rank)"),
  rslora: flag("scale alpha / sqrt(r) instead of alpha / r"),
};

/** Values of {@linkcode loraSettings}. */
export type LoraValues = ValuesOf<typeof loraSettings>;

/**
 * LoRA's options of a specification's values.
 *
 * @param values What the specification says
 */
export function loraOptions({ rank, alpha, rslora }: LoraValues): LoraOptions {
  return { rank, alpha, rankStabilised: rslora };
}

/**
 * What PEFT's `adapter_config.json` says of LoRA and DoRA.
 *
 * @param values The settings
 * @param useDora Which of the two
 */
export function loraFields({ rank = 1, alpha = rank, rslora = false }: LoraValues, useDora: boolean): Json {
  return {
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: 0,
    r: rank,
    use_dora: useDora,
    use_rslora: rslora,
  };
}

/**
 * Settings of a file that PEFT wrote for LoRA or DoRA; undefined if it is for the other one.
 *
 * @param fields The file's
 * @param useDora Which of the two
 * @throws OneloraError for a rank or alpha that cannot be
 */
export function loraValues(fields: Fields, useDora: boolean): LoraValues | undefined {
  if (fields.flag("use_dora") !== useDora) return undefined;
  const rank = peftRank(fields);
  const alpha = fields.number("lora_alpha");
  if (alpha === undefined || !(alpha > 0)) throw fields.wrong("lora_alpha", "a positive number");
  return { rank, alpha, ...(fields.flag("use_rslora") ? { rslora: true } : {}) };
}

/** LoRA and rsLoRA, described. */
export const loraMethod: Method = method({
  name: "lora",
  summary: "y = W0 x + s B A x + b0, s = alpha / r",
  aliases: { rslora: { rslora: true } },
  settings: loraSettings,
  build: (values, target) => at(target, lora(loraOptions(values))),
  peft: {
    type: "LORA",
    tensors: { A: { key: "lora_A.weight" }, B: { key: "lora_B.weight" } },
    fields: (values) => loraFields(values, false),
    values: (fields) => loraValues(fields, false),
  },
});
