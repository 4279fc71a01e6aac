/**
 * Stochastic gradient descent, step for step as torch.optim.SGD.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Path } from "../tree.ts";
import { elementwise, prefixed, under, zerosUnder } from "./bundle.ts";
import type { Optimiser } from "./optimiser.ts";

/** Settings of {@linkcode sgd}. */
export interface SgdOptions {
  /** μ; 0, the default, keeps no state. */
  readonly momentum?: number;
  /** Whether to step along g + μ b instead of b (default false). */
  readonly nesterov?: boolean;
  /** λ, added to the gradient as λ p (default 0). */
  readonly weightDecay?: number;
  /** Which parameters decay (default all). */
  readonly decays?: (path: Path, tensor: tf.Tensor) => boolean;
}

/**
 * g <- g + λ p; b <- μ b + g; p <- p - rate b (with Nesterov: p - rate (g + μ b)).
 *
 * State: `b.<path>` if μ > 0.
 *
 * @param options See {@linkcode SgdOptions}
 */
export function sgd(options: SgdOptions = {}): Optimiser {
  const { momentum: configured = 0, nesterov = false, weightDecay = 0, decays } = options;
  const remembers = configured > 0;
  return {
    init: (params) => remembers ? zerosUnder(params, "b") : {},
    update: (gradients, state, params, rate, momentum) =>
      tf.tidy(() => {
        const mu = momentum ?? configured;
        const [next, b] = elementwise(
          [params, gradients, ...(remembers ? [under(state, "b", params)] : [])],
          ([p, gradient, b], decay) => {
            const g = decay && weightDecay !== 0 ? tf.add(gradient, tf.mul(p, weightDecay)) : gradient;
            if (!remembers) return [tf.sub(p, tf.mul(g, rate))];
            const buffer = tf.add(tf.mul(b, mu), g);
            const direction = nesterov ? tf.add(g, tf.mul(buffer, mu)) : buffer;
            return [tf.sub(p, tf.mul(direction, rate)), buffer];
          },
          decays,
        );
        return { params: next, state: remembers ? prefixed(b, "b") : {} };
      }),
  };
}
