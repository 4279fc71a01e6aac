/**
 * DiffFit's scaling factors alone (Xie et al. 2023).
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import { ones } from "../dsl/initialise.ts";
import { scaleOutput } from "../dsl/linear.ts";
import { type Adapter, stage, trainable } from "./adapter.ts";

/**
 * y = gamma * (whatever the layer computes), `gamma` [d] trained from one. d parameters per layer.
 */
export function scale(): Adapter {
  return {
    name: "scale",
    fit: ({ outFeatures }) => ({
      name: "scale",
      stage: stage.output,
      params: { gamma: trainable([outFeatures], ones) },
      reform: (param) => scaleOutput(param("gamma") as Tensor1D),
    }),
  };
}
