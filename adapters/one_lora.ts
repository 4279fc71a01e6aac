/**
 * 1LoRA: summation compression (paper Eq. 3, Listing 1).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { gaussian, zeros } from "../dsl/initialise.ts";
import { parameter } from "../dsl/layer.ts";
import { addLowRank } from "../dsl/linear.ts";
import { type Adapter, stage, trainable } from "./adapter.ts";

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
