/**
 * BitFit: biases alone (Ben Zaken et al. 2021).
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import { zeros } from "../dsl/initialise.ts";
import { addBias } from "../dsl/linear_form.ts";
import { type Adapter, at, stage, trainable } from "./adapter.ts";
import { type Method, method } from "./method.ts";

/**
 * y = W0 x + b0 + beta, `beta` [d] trained from zero; a layer without a bias gets one. d parameters per layer.
 */
export function bitfit(): Adapter {
  return {
    name: "bias",
    fit: ({ outFeatures }) => ({
      name: "bias",
      stage: stage.bias,
      params: { beta: trainable([outFeatures], zeros) },
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
});
