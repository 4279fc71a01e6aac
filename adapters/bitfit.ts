/**
 * BitFit: biases alone (Ben Zaken et al. 2021).
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import { zeros } from "../dsl/initialise.ts";
import { addBias } from "../dsl/linear_change.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { type Method, method } from "./method.ts";

/**
 * y = W0 x + b0 + beta, `beta` [d] trained from zero; a layer without a bias gets one. d parameters per layer.
 *
 * Weight decay acts on b0 + beta, as it does in the published implementation, whose AdamW is given the biases themselves:
 * beta <- beta - rate λ (b0 + beta).
 */
export function bitfit(): Adapter {
  return {
    name: "bias",
    fit: ({ outFeatures, bias }) => ({
      name: "bias",
      stage: stage.bias,
      params: { beta: { ...trainable([outFeatures], zeros), ...(bias ? { changeOf: "bias" } : {}) } },
      reform: (param) => addBias(param("beta") as Tensor1D),
    }),
  };
}

/** BitFit, described. */
export const bitfitMethod: Method = method({
  name: "bitfit",
  summary: "y = W0 x + b0 + beta",
  aliases: { bias: {} },
  settings: {},
  build: (_, target) => at(target, bitfit()),
  isLinear: true,
});
