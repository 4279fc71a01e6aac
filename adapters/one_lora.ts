/**
 * 1LoRA: summation compression (paper Eq. 3, Listing 1).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian, zeros } from "../dsl/initialise.ts";
import { parameter } from "../dsl/layer.ts";
import { addLowRank } from "../dsl/linear_change.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { peftRank } from "./exchange/fields.ts";
import { type Method, method, oneOf } from "./method.ts";

/** Options of {@linkcode oneLora}. */
export interface OneLoraOptions {
  /** `sum` is the paper's method; `random` its ablation B.2 with a fixed random a in place of the ones. */
  readonly compression?: "sum" | "random";
}

/**
 * y = W0 x + b * sum(x) + b0, i.e. ΔW = b 1^T; with random compression ΔW = b a^T.
 *
 * `b` [d] is trained from zero; `a` [k] ~ N(0, 1) is frozen. d parameters per layer.
 *
 * @param options See {@linkcode OneLoraOptions}
 *
 * @example
 * ```ts
 * import { adapted, oneLora } from "@onelora/onelora/adapters";
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 *
 * await useBackend("cpu");
 * const [weight, bias, b] = [tf.eye(2), tf.tensor1d([10, 20]), tf.tensor1d([1, -1])];
 * const y = adapted(oneLora(), { weight, bias, b }, tf.tensor2d([[2, 3]]));
 * assertEquals(await y.array(), [[2 + 5 + 10, 3 - 5 + 20]]); // W0 x + b * sum(x) + b0
 * ```
 */
export function oneLora(options: OneLoraOptions = {}): Adapter {
  const random = options.compression === "random";
  return {
    name: "1lora",
    fit: ({ inFeatures, outFeatures }) => ({
      name: "1lora",
      stage: stage.update,
      params: {
        b: trainable([outFeatures], zeros),
        ...(random ? { a: parameter([inFeatures], gaussian(1)) } : {}),
      },
      reform: (param) =>
        addLowRank({
          up: tf.reshape(param("b"), [outFeatures, 1]),
          down: random ? tf.reshape(param("a"), [1, inFeatures]) : "sum",
          scale: 1,
          trainsDown: false,
        }),
    }),
  };
}

/** 1LoRA, described; PEFT has it as MISS of rank 1. */
export const oneLoraMethod: Method = method({
  name: "1lora",
  summary: "y = W0 x + b * sum(x) + b0",
  aliases: { "1lora-random": { compression: "random" } },
  settings: { compression: oneOf(["sum", "random"], "the ones, or a fixed random vector in their place") },
  build: (options, target) => at(target, oneLora(options)),
  isLinear: true,
  peft: {
    type: "MISS",
    tensors: { b: { key: "miss_block", shape: (shape) => [1, ...shape] } },
    loraB: "b",
    fields: () => ({ bias: "none", init_weights: true, mini_r: 1, miss_dropout: 0, r: 1 }),
    values(fields) {
      // More shards are another method.
      return peftRank(fields) === 1 ? {} : undefined;
    },
  },
});
