/**
 * MiSS, matrix shard sharing, in its usual form (Kang and Yin 2024): 1LoRA over r interleaved shards of the input.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError } from "../dsl/error.ts";
import { zeros } from "../dsl/initialise.ts";
import { addLowRank } from "../dsl/linear_change.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { peftRank } from "./exchange/fields.ts";
import { type Method, method, wholeNumber } from "./method.ts";

/** Options of {@linkcode miss}. */
export interface MissOptions {
  /** r, the number of shards (default 1, which is 1LoRA). */
  readonly rank?: number;
}

/** S [r, k], S[i, j] = 1 where j mod r = i: S x are the sums of the shards. */
function shards(rank: number, inFeatures: number): tf.Tensor2D | "sum" {
  if (rank === 1) return "sum";
  const tiled = tf.tile(tf.eye(rank), [1, Math.ceil(inFeatures / rank)]);
  return tf.slice(tiled, [0, 0], [rank, inFeatures]) as tf.Tensor2D;
}

/**
 * y = W0 x + D^T s(x) + b0, s(x)_i = sum of x_j over all j with j mod r = i. `D` [r, d] is trained from zero. r d parameters
 * per layer.
 *
 * @param options See {@linkcode MissOptions}
 * @throws OneloraError (exit code 2), when placed, for more shards than a layer has inputs
 */
export function miss({ rank = 1 }: MissOptions = {}): Adapter {
  return {
    name: "miss",
    fit: ({ inFeatures, outFeatures }) => {
      if (rank > inFeatures) {
        const problem = {
          attempted: `placing adapter "miss"`,
          found: `rank ${rank}`,
          allowed: `at most ${inFeatures}`,
        };
        throw new OneloraError(problem, { exitCode: 2 });
      }
      return {
        name: "miss",
        stage: stage.update,
        params: { D: trainable([rank, outFeatures], zeros) },
        reform: (param) =>
          addLowRank({
            up: tf.transpose(param("D")),
            down: shards(rank, inFeatures),
            scale: 1,
            trainsDown: false,
          }),
      };
    },
  };
}

/** MiSS, described. PEFT's rank 1 is 1LoRA's file. */
export const missMethod: Method = method({
  name: "miss",
  summary: "y = W0 x + D^T s(x) + b0, s(x) the sums of r interleaved shards of x",
  settings: { rank: wholeNumber("shards r (default 1)") },
  build: (options, target) => at(target, miss(options)),
  isLinear: true,
  peft: {
    type: "MISS",
    tensors: { D: { key: "miss_block" } },
    fields: ({ rank = 1 }) => ({ bias: "none", init_weights: true, mini_r: 1, miss_dropout: 0, r: rank }),
    values: (fields) => ({ rank: peftRank(fields) }),
  },
});
