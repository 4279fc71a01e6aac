/**
 * Layer scale: one trained factor for each feature of what a block adds (Touvron et al. 2021).
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ones } from "../dsl/initialise.ts";
import { defineLayer, type Layer, parameter } from "../dsl/layer.ts";
import { withGradient } from "../dsl/ops/gradient.ts";

/**
 * y = factors x, x [..., features]; x is kept only for factors that are trained.
 *
 * @param features How many
 * @param name What a file calls the factors
 */
export function layerScale(features: number, name: "lambda1" | "gamma"): Layer {
  return defineLayer({
    kind: "scale",
    params: { [name]: parameter([features], ones) },
    parts: {},
    forward: (self, x) => {
      const factors = self.param(name);
      if (self.trainable(name)) return tf.mul(x, factors);
      return withGradient([x], (save) => {
        save(factors);
        return tf.mul(x, factors);
      }, (dy, [factors]) => [tf.mul(dy, factors)]);
    },
  });
}
