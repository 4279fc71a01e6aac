/**
 * Gradient clipping.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { bundles, elementwise, joined } from "./bundle.ts";
import type { Transform } from "./optimiser.ts";

/** Where {@linkcode clipByGlobalNorm} leaves the norm it found in the state: a metric worth logging. */
export const gradientNorm = "gradientNorm";

/**
 * g <- g min(1, max / (‖g‖ + 1e-6)), ‖g‖ over all gradients together, as torch.nn.utils.clip_grad_norm_.
 *
 * State: {@linkcode gradientNorm}, ‖g‖ before clipping.
 *
 * @param max Largest norm that passes unchanged
 */
export function clipByGlobalNorm(max: number): Transform {
  return {
    init: () => ({ [gradientNorm]: tf.scalar(0) }),
    update: (gradients) =>
      tf.tidy(() => {
        const squares = bundles(gradients).map((bundle) => tf.sum(tf.square(joined(gradients, bundle))));
        const norm = tf.sqrt(tf.sum(tf.stack(squares)));
        const factor = tf.minimum(tf.div(max, tf.add(norm, 1e-6)), 1);
        const [clipped] = elementwise([gradients], ([g]) => [tf.mul(g, factor)]);
        return { gradients: clipped, state: { [gradientNorm]: norm } };
      }),
  };
}
