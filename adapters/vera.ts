/**
 * VeRA: vector-based random-matrix adaptation (Kopiczko et al. 2023).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { between, constant, zeros } from "../dsl/initialise.ts";
import { parameter, type ParamSpec } from "../dsl/layer.ts";
import { addLowRank } from "../dsl/linear_change.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { peftRank } from "./exchange/fields.ts";
import { type Method, method, wholeNumber } from "./method.ts";

/** Options of {@linkcode vera}. */
export interface VeraOptions {
  /** Rank r (default 1). */
  readonly rank?: number;
  /** First value of d (default 0.1). */
  readonly initialD?: number;
}

/** A frozen projection shared by all layers: Kaiming uniform, U(±sqrt(6 / fan_in)). */
function projection(name: string, rows: number, columns: number): ParamSpec {
  return { ...parameter([rows, columns], between(Math.sqrt(6 / columns))), shared: `vera.${name}` };
}

/**
 * y = W0 x + b * (B (d * (A x))) + b0. `A` [r, max k] and `B` [max d, r] are frozen, shared by all layers at the
 * largest shape and sliced; `d` [r] starts at 0.1, `b` [d] at 0. d + r parameters per layer.
 *
 * @param options See {@linkcode VeraOptions}
 */
export function vera(options: VeraOptions = {}): Adapter {
  const rank = options.rank ?? 1;
  return {
    name: "vera",
    fit: ({ inFeatures, outFeatures }, all) => ({
      name: "vera",
      stage: stage.update,
      params: {
        d: trainable([rank], constant(options.initialD ?? 0.1)),
        b: trainable([outFeatures], zeros),
        A: projection("A", rank, Math.max(...all.map((shape) => shape.inFeatures))),
        B: projection("B", Math.max(...all.map((shape) => shape.outFeatures)), rank),
      },
      reform: (param) =>
        addLowRank({
          up: tf.mul(tf.slice(param("B"), [0, 0], [outFeatures, rank]), tf.reshape(param("b"), [outFeatures, 1])),
          mid: param("d"),
          down: tf.slice(param("A"), [0, 0], [rank, inFeatures]),
          scale: 1,
          trainsDown: false,
        }),
    }),
  };
}

/** VeRA, described. */
export const veraMethod: Method = method({
  name: "vera",
  summary: "y = W0 x + b * (B (d * (A x))) + b0, A and B random and shared",
  settings: { rank: wholeNumber("rank r (default 1)") },
  build: (options, target) => at(target, vera(options)),
  peft: {
    type: "VERA",
    tensors: {
      b: { key: "vera_lambda_b" },
      d: { key: "vera_lambda_d" },
      A: { key: "vera_A" },
      B: { key: "vera_B" },
    },
    fields: ({ rank = 1 }) => ({
      bias: "none",
      d_initial: 0.1,
      fan_in_fan_out: false,
      init_weights: true,
      projection_prng_key: 0,
      r: rank,
      save_projection: true,
      vera_dropout: 0,
    }),
    values: (fields) => ({ rank: peftRank(fields) }),
  },
});
