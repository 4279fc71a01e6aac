/**
 * Activation functions, elementwise. GELU and SiLU keep their inputs and ReLU its output, which a trained layer behind it
 * keeps anyway.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernel } from "../engine/kernels.ts";
import { unknownName } from "../error.ts";
import { withGradient } from "./gradient.ts";

/** An elementwise function. */
export type Activation = (x: tf.Tensor) => tf.Tensor;

/** A function and its derivative. */
interface Smooth {
  readonly value: Activation;
  readonly slope: Activation;
}

/** Φ(x) = (1 + erf(x / √2)) / 2, the normal distribution function. */
function normalDistribution(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
}

/** x Φ(x); d/dx = Φ(x) + x φ(x). */
const exact: Smooth = {
  value: (x) => tf.mul(x, normalDistribution(x)),
  slope: (x) => {
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return tf.add(normalDistribution(x), tf.mul(x, density));
  },
};

// (1 + tanh u) / 2 = sigmoid(2u), so 2u = x (LINEAR + CUBIC x²) needs no halving.
const LINEAR = 2 * Math.sqrt(2 / Math.PI);
const CUBIC = LINEAR * 0.044715;

function gate(x: tf.Tensor, square: tf.Tensor): tf.Tensor {
  return tf.sigmoid(tf.mul(x, tf.add(tf.mul(square, CUBIC), LINEAR)));
}

/** x sigmoid(v), v = x (LINEAR + CUBIC x²); with s = sigmoid(v), d/dx = s + x s (1 - s) v'. */
const byTanh: Smooth = {
  value: (x) => tf.mul(x, gate(x, tf.square(x))),
  slope: (x) => {
    const square = tf.square(x);
    const s = gate(x, square);
    const steepness = tf.mul(x, tf.add(tf.mul(square, 3 * CUBIC), LINEAR));
    return tf.mul(s, tf.add(tf.mul(steepness, tf.sub(1, s)), 1));
  },
};

/**
 * GELU(x) = x Φ(x), or with `tanh` x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 (Hendrycks and Gimpel 2016).
 *
 * @param x Any shape
 * @param approximation `none` for the exact function, `tanh` for the approximation that DiT uses
 *
 * @example
 * ```ts
 * import { gelu, useBackend } from "@onelora/onelora/dsl";
 * import { assertAlmostEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * assertAlmostEquals(gelu(tf.scalar(1)).dataSync()[0], 0.8413447, 1e-6);
 * ```
 */
export function gelu(x: tf.Tensor, approximation: "none" | "tanh" = "none"): tf.Tensor {
  const { value, slope } = approximation === "none" ? exact : byTanh;
  return withGradient([x], (save) => {
    save(x);
    return ownKernel("Gelu", { x }, { approximation })?.[0] ?? value(x);
  }, (dy, [x]) => [ownKernel("GeluGrad", { dy, x }, { approximation })?.[0] ?? tf.mul(dy, slope(x))]);
}

/**
 * SiLU(x) = x sigmoid(x).
 *
 * @param x Any shape
 */
export function silu(x: tf.Tensor): tf.Tensor {
  return withGradient([x], (save) => {
    save(x);
    return tf.mul(x, tf.sigmoid(x));
  }, (dy, [x]) => {
    const s = tf.sigmoid(x);
    return [tf.mul(dy, tf.mul(s, tf.add(tf.mul(x, tf.sub(1, s)), 1)))];
  });
}

/**
 * QuickGELU(x) = x sigmoid(1.702 x), an approximation of GELU that CLIP was trained with.
 *
 * @param x Any shape
 */
export function quickGelu(x: tf.Tensor): tf.Tensor {
  return withGradient([x], (save) => {
    save(x);
    return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
  }, (dy, [x]) => {
    const v = tf.mul(x, 1.702);
    const s = tf.sigmoid(v);
    return [tf.mul(dy, tf.mul(s, tf.add(tf.mul(v, tf.sub(1, s)), 1)))];
  });
}

/**
 * SwiGLU(x, y) = SiLU(x) y (Shazeer 2020). Keeps x and y alone.
 *
 * @param gate x, any shape
 * @param up y, the same shape
 */
export function swiglu(gate: tf.Tensor, up: tf.Tensor): tf.Tensor {
  return withGradient([gate, up], (save) => {
    save(gate, up);
    return tf.mul(tf.mul(gate, tf.sigmoid(gate)), up);
  }, (dy, [gate, up]) => {
    const s = tf.sigmoid(gate);
    const y = tf.mul(gate, s);
    const slope = tf.add(s, tf.mul(y, tf.sub(1, s)));
    return [tf.mul(dy, tf.mul(up, slope)), tf.mul(dy, y)];
  });
}

/**
 * ReLU(x) = max(x, 0), with gradient 0 at 0.
 *
 * @param x Any shape
 */
export function relu(x: tf.Tensor): tf.Tensor {
  return withGradient([x], (save) => {
    const y = tf.relu(x);
    save(y);
    return y;
  }, (dy, [y]) => [tf.mul(dy, tf.step(y))]);
}

/** Activation functions by the names that checkpoints' `hidden_act` uses. */
export const activations: Readonly<Record<string, Activation>> = {
  gelu: (x) => gelu(x),
  gelu_new: (x) => gelu(x, "tanh"),
  gelu_pytorch_tanh: (x) => gelu(x, "tanh"),
  quick_gelu: quickGelu,
  relu,
  silu,
  swish: silu,
};

/**
 * The activation function of that name.
 *
 * @param name As in a checkpoint's `hidden_act`, e.g. `gelu`
 * @throws OneloraError for a name that is not in {@linkcode activations}
 */
export function activation(name: string): Activation {
  if (!Object.hasOwn(activations, name)) throw unknownName("activation", name, Object.keys(activations));
  return activations[name];
}
