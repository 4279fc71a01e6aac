/**
 * DiffFit's scaling factors alone (Xie et al. 2023).
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import { ones } from "../dsl/initialise.ts";
import { scaleOutput } from "../dsl/linear_change.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { type Method, method } from "./method.ts";

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

/** DiffFit's scaling factors, described. */
export const scaleMethod: Method = method({
  name: "scale",
  summary: "y = gamma * (W0 x + b0)",
  settings: {},
  build: (_, target) => at(target, scale()),
});
