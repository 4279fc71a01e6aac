/**
 * Dropout (Srivastava et al. 2014) whose masks are never kept: they are drawn again in the backward pass, by the same words.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Draw } from "../draw.ts";
import { DRAW_BITS, DROPOUT_MASK, type MaskAttributes } from "../engine/dropout_mask.ts";
import { withGradient } from "./gradient.ts";

/** Numbers dropped out in a training step. */
export interface Dropout {
  /** Probability p of a number to become 0, 0 <= p < 1. */
  readonly rate: number;
  /** Where the draws come from. */
  readonly draw: Draw;
}

/**
 * The mask: 1 with probability 1 - p, else 0; every element by its position, the words and the salt alone, so that all engines
 * agree.
 *
 * @param shape Its dimensions
 * @param dropout Rate and source
 * @returns float32, without a gradient
 *
 * @example
 * ```ts
 * import { drawing, drawWords, key, useBackend } from "@onelora/onelora/dsl";
 * import { drawAt } from "../draw.ts";
 * import { dropoutMask } from "./dropout.ts";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const draw = drawAt(drawing({}, drawWords(key(1))), "layer")!;
 * assertAlmostEquals(tf.mean(dropoutMask([100, 100], { rate: 0.25, draw })).dataSync()[0], 0.75, 0.02);
 * ```
 */
export function dropoutMask(shape: readonly number[], { rate, draw: { words, salt } }: Dropout): tf.Tensor {
  const attributes: MaskAttributes = {
    shape: [...shape],
    salt: [salt.high | 0, salt.low | 0],
    least: Math.round(rate * 2 ** DRAW_BITS),
  };
  return tf.engine().runKernel(DROPOUT_MASK, { words }, attributes as unknown as tf.NamedAttrMap) as tf.Tensor;
}

/**
 * The same with words that were kept for the backward pass.
 *
 * @param dropout Rate and source
 * @param words The words
 */
export function withWords({ rate, draw }: Dropout, words: tf.Tensor): Dropout {
  return { rate, draw: { ...draw, words } };
}

/**
 * y = mask * x / (1 - p); dx = mask * dy / (1 - p).
 *
 * @param x Any shape
 * @param dropout Rate and source
 */
export function dropOut(x: tf.Tensor, dropout: Dropout): tf.Tensor {
  const dropped = (of: tf.Tensor, words: tf.Tensor) =>
    tf.mul(tf.mul(of, dropoutMask(x.shape, withWords(dropout, words))), 1 / (1 - dropout.rate));
  const { words } = dropout.draw;
  return withGradient([x], (save) => {
    save(words);
    return dropped(x, words);
  }, (dy, [words]) => [dropped(dy, words)]);
}
