/**
 * LoRA (paper Eq. 2; Hu et al. 2021) and rsLoRA (Kalajdzievski 2023).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { flow } from "fp-ts/function";
import type { Draw } from "../dsl/draw.ts";
import { between, gaussian, zeros } from "../dsl/initialise.ts";
import type { Json } from "../dsl/files/json.ts";
import type { AnyLayer, ParamSpec } from "../dsl/layer.ts";
import type { LinearShape } from "../dsl/linear.ts";
import { addBias, addLowRank } from "../dsl/linear_change.ts";
import type { Dropout } from "../dsl/ops/dropout.ts";
import type { LowRank } from "../dsl/ops/low_rank.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { lowRankRows, type WeightUpdate } from "./weight_update.ts";
import { type Fields, peftRank } from "./exchange/fields.ts";
import {
  flag,
  type Method,
  method,
  positiveNumber,
  type Setting,
  share,
  type ValuesOf,
  wholeNumber,
} from "./method.ts";

/** Options of {@linkcode lora}. */
export interface LoraOptions {
  /** Rank r (default 1, the paper's regime). */
  readonly rank?: number;
  /** Numerator of the scale s (default r, so that s = 1). */
  readonly alpha?: number;
  /** rsLoRA: s = alpha / sqrt(r) instead of alpha / r. */
  readonly rankStabilised?: boolean;
  /** A bias [d] beside B, trained from zero and scaled by s too. */
  readonly bias?: boolean;
  /** Share of the numbers of x that a training step drops out before A (default 0); evaluations drop none. */
  readonly dropout?: number;
}

/**
 * What a training step drops out of x before A.
 *
 * @param options See {@linkcode LoraOptions}
 * @param draw Where its draws come from; an evaluation has no such
 */
export function loraDropout({ dropout: rate = 0 }: LoraOptions, draw: Draw | undefined): Dropout | undefined {
  return draw === undefined || rate === 0 ? undefined : { rate, draw };
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
 * @param dropout What is dropped out of x before A
 */
export function loraUpdate(param: (name: string) => Tensor, scale: number, dropout?: Dropout): LowRank {
  return { up: param("B"), down: param("A"), scale, trainsDown: true, dropout };
}

/** LoRA of an embedding table [V, D]: ΔW = s (B A)^T, `A` [r, V] = 0, `B` [D, r] ~ N(0, 1), as PEFT has it. */
function embeddingUpdate(shape: readonly number[], options: LoraOptions): WeightUpdate {
  const [count, features] = shape;
  const { rank = 1 } = options;
  const scale = loraScale(options);
  return {
    name: "lora",
    params: {
      embedding_A: trainable([rank, count], zeros),
      embedding_B: trainable([features, rank], gaussian(1)),
    },
    delta: (param) => tf.mul(tf.matMul(param("embedding_A"), param("embedding_B"), true, true), scale),
    rows: (param, ids) => lowRankRows(ids, param("embedding_A"), param("embedding_B"), scale),
  };
}

/** LoRA of a convolution [D, C, p, q]: ΔW = s B A over the flattened kernel, `A` [r, C, p, q], `B` [D, r, 1, 1] = 0. */
function convolutionUpdate(shape: readonly number[], options: LoraOptions): WeightUpdate {
  const [outChannels, ...kernel] = shape;
  const { rank = 1 } = options;
  const size = kernel.reduce((product, length) => product * length, 1);
  return {
    name: "lora",
    params: {
      A: trainable([rank, ...kernel], between(1 / Math.sqrt(size))),
      B: trainable([outChannels, rank, ...kernel.slice(1).map(() => 1)], zeros),
    },
    dropout: options.dropout,
    delta: (param) => {
      const up = tf.reshape(param("B"), [outChannels, rank]) as tf.Tensor2D;
      const down = tf.reshape(param("A"), [rank, size]) as tf.Tensor2D;
      return tf.reshape(tf.mul(tf.matMul(up, down), loraScale(options)), [...shape]);
    },
  };
}

/** LoRA of a layer that is not linear, if it is one that PEFT's LoRA goes on. */
function loraWeight({ kind, params }: AnyLayer, options: LoraOptions): WeightUpdate | undefined {
  if (options.bias) return undefined;
  if (kind === "embedding") return embeddingUpdate(params.weight.shape, options);
  return kind === "convolution" ? convolutionUpdate(params.weight.shape, options) : undefined;
}

/**
 * y = W0 x + s B A x + b0, s = alpha / r. r (k + d) parameters per layer. With dropout, x before A is mask * x / (1 - p) in a
 * training step.
 *
 * `A` [r, k] starts at random, `B` [d, r] at zero, so that the adapted model begins as the base model.
 *
 * @param options See {@linkcode LoraOptions}
 *
 * @example
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import { at, everyLinear, lora, parameterCounts } from "@onelora/onelora/adapters";
 * import { linear, serial } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 *
 * const model = pipe(serial({ up: linear(4, 8), down: linear(8, 4) }), at(everyLinear, lora({ rank: 2, alpha: 4 })));
 * assertEquals(parameterCounts(model).adapter, 2 * (4 + 8) + 2 * (8 + 4));
 * ```
 */
export function lora(options: LoraOptions = {}): Adapter {
  return {
    name: "lora",
    fit: (shape) => ({
      name: "lora",
      stage: stage.update,
      params: {
        ...loraFactors(shape, options.rank ?? 1),
        ...(options.bias ? { bias: trainable([shape.outFeatures], zeros) } : {}),
      },
      draws: (options.dropout ?? 0) > 0,
      reform: (param, draw) => {
        const update = addLowRank(loraUpdate(param, loraScale(options), loraDropout(options, draw)));
        return options.bias ? flow(update, addBias(tf.mul(param("bias"), loraScale(options)) as tf.Tensor1D)) : update;
      },
    }),
    fitWeight: (layer) => loraWeight(layer, options),
  };
}

/** What LoRA and DoRA are told in a specification. */
export const loraSettings: {
  readonly rank: Setting<number>;
  readonly alpha: Setting<number>;
  readonly rslora: Setting<boolean>;
  readonly dropout: Setting<number>;
} = {
  rank: wholeNumber("rank r (default 1)"),
  alpha: positiveNumber("numerator of the scale (default: the rank)"),
  rslora: flag("scale alpha / sqrt(r) instead of alpha / r"),
  dropout: share("share of its inputs that a training step drops out (default 0)"),
};

/** Values of {@linkcode loraSettings}. */
export type LoraValues = ValuesOf<typeof loraSettings>;

/**
 * LoRA's options of a specification's values.
 *
 * @param values What the specification says
 */
export function loraOptions({ rank, alpha, rslora, dropout }: LoraValues): LoraOptions {
  return { rank, alpha, rankStabilised: rslora, dropout };
}

/**
 * What PEFT's `adapter_config.json` says of LoRA and DoRA.
 *
 * @param values The settings
 * @param useDora Which of the two
 */
export function loraFields(
  { rank = 1, alpha = rank, rslora = false, dropout = 0 }: LoraValues,
  useDora: boolean,
): Json {
  return {
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: dropout,
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
 * @throws OneloraError for a rank, alpha or dropout that cannot be
 */
export function loraValues(fields: Fields, useDora: boolean): LoraValues | undefined {
  if (fields.flag("use_dora") !== useDora) return undefined;
  const rank = peftRank(fields);
  const alpha = fields.number("lora_alpha");
  if (alpha === undefined || !(alpha > 0)) throw fields.wrong("lora_alpha", "a positive number");
  const dropout = fields.number("lora_dropout") ?? 0;
  if (!(dropout >= 0 && dropout < 1)) throw fields.wrong("lora_dropout", "a number at least 0 and below 1");
  const others = { ...(fields.flag("use_rslora") ? { rslora: true } : {}), ...(dropout > 0 ? { dropout } : {}) };
  return { rank, alpha, ...others };
}

/** LoRA and rsLoRA, described. */
export const loraMethod: Method = method({
  name: "lora",
  summary: "y = W0 x + s B A x + b0, s = alpha / r",
  aliases: { rslora: { rslora: true } },
  settings: { ...loraSettings, bias: flag("a trained bias beside B") },
  build: ({ bias, ...values }, target) => at(target, lora({ ...loraOptions(values), bias })),
  peft: {
    type: "LORA",
    tensors: {
      A: { key: "lora_A.weight" },
      B: { key: "lora_B.weight" },
      bias: { key: "lora_B.bias" },
      embedding_A: { key: "lora_embedding_A" },
      embedding_B: { key: "lora_embedding_B" },
    },
    fields: ({ bias = false, ...values }) => ({ ...loraFields(values, false), lora_bias: bias }),
    values(fields) {
      const values = loraValues(fields, false);
      return values && { ...values, ...(fields.flag("lora_bias") ? { bias: true } : {}) };
    },
  },
});
