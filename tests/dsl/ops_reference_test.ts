import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import {
  attention,
  binaryCrossEntropy,
  causalMask,
  conv2d,
  type ConvOptions,
  convTranspose2d,
  type ConvTransposeOptions,
  crossEntropy,
  type CrossEntropyOptions,
  embedding,
  gelu,
  groupNorm,
  interpolate,
  type InterpolateOptions,
  layerNorm,
  mse,
  patchEmbed,
  quickGelu,
  relu,
  rmsNorm,
  rotary,
  rotaryTable,
  silu,
  swiglu,
  type Target,
} from "../../dsl/ops/mod.ts";
import { available } from "../support/available.ts";

/** A tensor as the fixture holds it. */
interface Plain {
  readonly shape: number[];
  readonly dtype: "float32" | "int32";
  readonly data: number[];
}

/** One operation of PyTorch: y = f(inputs), and d(sum(dy y))/d(input). */
interface Reference {
  readonly inputs: Readonly<Record<string, Plain>>;
  readonly value: Plain;
  readonly dy: Plain;
  readonly gradients: Readonly<Record<string, Plain>>;
}

type Operation = (inputs: Record<string, tf.Tensor>) => tf.Tensor;

const conv = (options: ConvOptions): Operation => ({ x, weight, bias }) => conv2d(x, weight, bias, options);
const transposed = (options: ConvTransposeOptions): Operation => ({ x, weight, bias }) =>
  convTranspose2d(x, weight, bias, options);
const resample = (target: Target, options: InterpolateOptions): Operation => ({ x }) => interpolate(x, target, options);
const cross = (options: CrossEntropyOptions): Operation => ({ logits, labels }) =>
  crossEntropy(logits, labels, options);

const operations: Readonly<Record<string, Operation>> = {
  "gelu": ({ x }) => gelu(x),
  "gelu tanh": ({ x }) => gelu(x, "tanh"),
  "silu": ({ x }) => silu(x),
  "relu": ({ x }) => relu(x),
  "swiglu": ({ gate, up }) => swiglu(gate, up),
  "quick gelu": ({ x }) => quickGelu(x),
  "layer norm": ({ x, weight, bias }) => layerNorm(x, { weight, bias }, 1e-6),
  "layer norm without parameters": ({ x }) => layerNorm(x, {}, 1e-12),
  "rms norm": ({ x, weight }) => rmsNorm(x, weight, 1e-5),
  "group norm": ({ x, weight, bias }) => groupNorm(x, 4, { weight, bias }, 1e-6),
  "group norm without parameters": ({ x }) => groupNorm(x, 2, {}, 1e-5),
  "attention": ({ q, k, v }) => attention(q, k, v),
  "causal attention": ({ q, k, v }) => attention(q, k, v, { mask: causalMask(5) }),
  "attention with grouped keys, mask and scale": ({ q, k, v, mask }) => attention(q, k, v, { mask, scale: 0.7 }),
  "rotary": ({ x }) => {
    const { cos, sin } = rotaryTable([0, 1, 2, 40], 8, 10000);
    return rotary(x, cos, sin);
  },
  "conv 3x3": conv({ padding: 1 }),
  "conv 3x3 of stride 2": conv({ stride: 2, padding: 1 }),
  "conv 2x3 without padding": conv({}),
  "conv 1x1": conv({}),
  "conv 1x1 of stride 2": conv({ stride: 2 }),
  "conv padded right and below": conv({ stride: 2, padding: [[0, 1], [0, 1]] }),
  "conv padded like same above, below and left alone": conv({ padding: [[1, 1], [1, 0]] }),
  "transposed conv of stride = the kernel's width alone": transposed({ stride: 2 }),
  "transposed conv of stride = kernel": transposed({ stride: 2 }),
  "transposed conv": transposed({ stride: 2, padding: 1 }),
  "transposed conv of stride 1": transposed({}),
  "patch embedding": ({ x, weight, bias }) => patchEmbed(x, weight, bias),
  "patch embedding of NHWC": ({ x, weight, bias }) => patchEmbed(x, weight, bias, "NHWC"),
  "interpolate bilinear, corners aligned, up": resample({ size: [11, 7] }, { mode: "bilinear", alignCorners: true }),
  "interpolate bilinear, corners aligned, down": resample({ size: [4, 1] }, { mode: "bilinear", alignCorners: true }),
  "interpolate bilinear, up": resample({ size: [9, 10] }, { mode: "bilinear" }),
  "interpolate bilinear by factors": resample({ scaleFactor: [2.3, 0.7] }, { mode: "bilinear" }),
  "interpolate nearest x 2": resample({ scaleFactor: [2, 2] }, { mode: "nearest" }),
  "interpolate nearest x 3, x 1": resample({ size: [18, 5] }, { mode: "nearest" }),
  "interpolate nearest, any size": resample({ size: [7, 3] }, { mode: "nearest" }),
  "interpolate nearest by factors": resample({ scaleFactor: [1.7, 2.5] }, { mode: "nearest" }),
  "interpolate bicubic": resample({ size: [9, 4] }, { mode: "bicubic" }),
  "interpolate bicubic by factors": resample({ scaleFactor: [9.1 / 6, 8.1 / 5] }, { mode: "bicubic" }),
  "interpolate bicubic, corners aligned": resample({ size: [9, 4] }, { mode: "bicubic", alignCorners: true }),
  "embedding": ({ ids, table }) => embedding(ids, table),
  "cross entropy": cross({}),
  "cross entropy of large logits": cross({}),
  "cross entropy with ignored labels": cross({ ignoreIndex: -100 }),
  "cross entropy with smoothed labels": cross({ ignoreIndex: -100, labelSmoothing: 0.1 }),
  "cross entropy with class weights": cross({ ignoreIndex: -100, classWeights: [0.5, 2, 1, 3, 0.25] }),
  "binary cross entropy with weights": ({ x, targets }) => binaryCrossEntropy(x, targets, [0.5, 2, 1, 3, 0.25]),
  "interpolate bicubic with antialias, smaller": resample({ size: [4, 3] }, { mode: "bicubic", antialias: true }),
  "interpolate bicubic with antialias, larger": resample({ size: [9, 7] }, { mode: "bicubic", antialias: true }),
  "mean squared error": ({ prediction, target }) => mse(prediction, target),
};

const references: Readonly<Record<string, Reference>> = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/ops.json", import.meta.url)),
);

const tensor = ({ data, shape, dtype }: Plain): tf.Tensor => tf.tensor(data, shape, dtype);

/** Fails unless every element is within tolerance x the expected tensor's largest magnitude. */
function assertClose(actual: tf.Tensor, { data, shape }: Plain, tolerance: number, what: string) {
  assertEquals(actual.shape, shape, what);
  const largest = Math.max(...data.map(Math.abs), 1e-6);
  const found = actual.dataSync();
  data.forEach((expected, i) => {
    assert(Math.abs(found[i] - expected) <= tolerance * largest, `${what}[${i}]: ${found[i]}, expected ${expected}`);
  });
}

/** Value and gradients with respect to the inputs that have one in the fixture. */
function valueAndGradients(operation: Operation, { inputs, dy, gradients }: Reference) {
  const all = Object.fromEntries(Object.entries(inputs).map(([name, plain]) => [name, tensor(plain)]));
  const names = Object.keys(gradients);
  const upstream = tensor(dy);
  let value: tf.Tensor | undefined;
  const loss = (...leaves: tf.Tensor[]) => {
    const y = operation({ ...all, ...Object.fromEntries(names.map((name, i) => [name, leaves[i]])) });
    value = tf.keep(tf.clone(y));
    return tf.sum(tf.mul(y, upstream)) as tf.Scalar;
  };
  const found = tf.grads(loss)(names.map((name) => all[name]));
  return { value: value as tf.Tensor, gradients: Object.fromEntries(names.map((name, i) => [name, found[i]])) };
}

/** sum(dy f(inputs + step direction)) in float64. */
function shiftedLoss(
  operation: Operation,
  { inputs, dy, gradients }: Reference,
  directions: Plain["data"][],
  step: number,
) {
  return tf.tidy(() => {
    const names = Object.keys(gradients);
    const all = Object.fromEntries(
      Object.entries(inputs).map(([name, plain]) => {
        const direction = directions[names.indexOf(name)];
        const data = direction === undefined ? plain.data : plain.data.map((x, i) => x + step * direction[i]);
        return [name, tensor({ ...plain, data })];
      }),
    );
    return operation(all).dataSync<"float32">().reduce((sum, y, i) => sum + y * dy.data[i], 0);
  });
}

Deno.test("the fixture and the table name the same operations", () => {
  assertEquals(Object.keys(operations).sort(), Object.keys(references).sort());
});

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  Deno.test(`operations on ${backend} equal PyTorch, their gradients too, and leak nothing`, async (t) => {
    await useBackend(backend);
    for (const [name, operation] of Object.entries(operations)) {
      await t.step(name, () => {
        const reference = references[name];
        const before = tf.memory().numTensors;
        tf.tidy(() => {
          const { value, gradients } = valueAndGradients(operation, reference);
          assertClose(value, reference.value, 1e-5, "value");
          for (const [input, expected] of Object.entries(reference.gradients)) {
            assertClose(gradients[input], expected, 1e-5, `gradient of ${input}`);
          }
          value.dispose();
        });
        assertEquals(tf.memory().numTensors, before);
      });
    }
  });

  Deno.test(`operations on ${backend} leave one tensor outside a tidy`, async () => {
    await useBackend(backend);
    for (const [name, operation] of Object.entries(operations)) {
      // These two make constants of their own for the operation under test.
      if (name === "rotary" || name === "causal attention") continue;
      const all = Object.fromEntries(
        Object.entries(references[name].inputs).map(([input, plain]) => [input, tensor(plain)]),
      );
      const before = tf.memory().numTensors;
      const y = operation(all);
      assertEquals(tf.memory().numTensors, before + 1, name);
      tf.dispose([y, all]);
    }
  });
}

Deno.test("gradients equal finite differences along a fixed direction", async (t) => {
  await useBackend("cpu");
  for (const [name, operation] of Object.entries(operations)) {
    // The smallest entry of a kinked or saturated function lies within a step of its kink.
    if (name === "relu" || name === "cross entropy of large logits") continue;
    await t.step(name, () => {
      const reference = references[name];
      const directions = Object.values(reference.gradients).map(({ data }) =>
        data.map((_, i) => Math.cos(1 + 2.3 * i))
      );
      const step = 1e-2;
      const slope = (h: number) =>
        (shiftedLoss(operation, reference, directions, h) - shiftedLoss(operation, reference, directions, -h)) /
        (2 * h);
      // Richardson's extrapolation removes the second-order error, so that the step may be large.
      const expected = (4 * slope(step) - slope(2 * step)) / 3;
      const terms = tf.tidy(() => {
        const { value, gradients } = valueAndGradients(operation, reference);
        value.dispose();
        return Object.values(gradients).flatMap((g, input) =>
          [...g.dataSync()].map((x, i) => x * directions[input][i])
        );
      });
      const found = terms.reduce((sum, term) => sum + term, 0);
      const size = Math.sqrt(terms.reduce((sum, term) => sum + term * term, 0));
      assert(Math.abs(found - expected) <= 1e-3 * size, `${found}, expected ${expected}`);
    });
  }
});
