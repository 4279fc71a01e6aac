import { assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import {
  activation,
  attention,
  conv2d,
  convTranspose2d,
  crossEntropy,
  embedding,
  gelu,
  groupNorm,
  interpolate,
  layerNorm,
  mse,
  patchify,
  relu,
  rmsNorm,
  rotary,
  rotaryTable,
  silu,
  swiglu,
} from "../../dsl/ops/mod.ts";

/** How many buffers an operation keeps for its gradient besides its inputs and its output. */
function kept(operation: (x: tf.Tensor) => tf.Tensor, shape: number[]): number {
  let buffers = 0;
  tf.tidy(() => {
    tf.grad((x) => {
      const before = tf.memory().numDataBuffers;
      const y = tf.tidy(() => operation(x));
      buffers = tf.memory().numDataBuffers - before - 1;
      return tf.sum(y);
    })(tf.randomUniform(shape, 0.1, 1, "float32", 1));
  });
  return buffers;
}

Deno.test("operations keep what their gradients need and no more", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const features = tf.ones([8]);
    const { cos, sin } = rotaryTable(6, 8, 10000);
    const [keys, many] = [tf.ones([2, 3, 6, 8]), tf.ones([2, 3, 17, 8])];
    const labels = tf.tensor1d([1, 2, 3, 0], "int32");
    const target = tf.ones([4, 8]);
    const ids = tf.tensor1d([1, 1], "int32");
    const [filter, pixelwise, blocks] = [tf.ones([4, 2, 3, 3]), tf.ones([4, 2, 1, 1]), tf.ones([2, 4, 2, 2])];
    const bias = tf.ones([4]);

    assertEquals(kept((x) => gelu(x), [4, 8]), 0);
    assertEquals(kept((x) => gelu(x, "tanh"), [4, 8]), 0);
    assertEquals(kept(silu, [4, 8]), 0);
    assertEquals(kept((x) => swiglu(x, target), [4, 8]), 0);
    assertEquals(kept(relu, [4, 8]), 0);
    assertEquals(kept((x) => rotary(x, cos, sin), [2, 3, 6, 8]), 0);
    assertEquals(kept((table) => embedding(ids, table), [3, 4]), 0);
    assertEquals(kept((x) => interpolate(x, { scaleFactor: [2, 2] }, { mode: "nearest" }), [1, 4, 4, 2]), 0);
    const frozen = { frozen: true };
    const image = [1, 4, 4, 2];
    assertEquals(kept((x) => conv2d(tf.neg(x), filter, bias, { ...frozen, padding: 1 }), image), 0);
    assertEquals(kept((x) => conv2d(tf.neg(x), filter, bias, { ...frozen, padding: 1, stride: 2 }), image), 0);
    assertEquals(kept((x) => conv2d(tf.neg(x), pixelwise, bias, frozen), image), 0);
    assertEquals(kept((x) => convTranspose2d(tf.neg(x), blocks, bias, { ...frozen, stride: 2 }), image), 0);
    // One matrix per axis.
    assertEquals(kept((x) => interpolate(tf.neg(x), { size: [7, 5] }, { mode: "bilinear" }), [1, 4, 4, 2]), 2);
    // One number per group; the normalised values are the output.
    assertEquals(kept((x) => layerNorm(x, {}, 1e-6), [4, 8]), 1);
    assertEquals(kept((x) => groupNorm(x, 2, {}, 1e-6), [2, 3, 3, 8]), 1);
    // The normalised values besides. (tfjs's own sum of two tensors, as with a bias, would keep both.)
    assertEquals(kept((x) => layerNorm(x, { weight: features }, 1e-6), [4, 8]), 2);
    assertEquals(kept((x) => rmsNorm(x, features, 1e-6), [4, 8]), 2);
    // The scaled queries; with few keys, the probabilities besides.
    assertEquals(kept((x) => attention(x, many, many), [2, 3, 5, 8]), 1);
    assertEquals(kept((x) => attention(x, keys, keys), [2, 3, 5, 8]), 2);
    // The probabilities, and two numbers per row.
    assertEquals(kept((x) => crossEntropy(x, labels), [4, 8]), 3);
    // The difference.
    assertEquals(kept((x) => mse(x, target), [4, 8]), 1);
  });
});

Deno.test("an activation that does not exist is wrong usage and names the nearest", () => {
  const error = assertThrows(() => activation("gleu"), OneloraError, 'did you mean "gelu"?');
  assertEquals(error.exitCode, 2);
});

Deno.test("patches that do not divide the image are refused", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    assertThrows(() => patchify(tf.zeros([1, 3, 8, 9]), [4, 4]), OneloraError, "found images of 8x9");
    assertThrows(() => patchify(tf.zeros([1, 8, 9, 3]), [4, 4], "NHWC"), OneloraError, "found images of 8x9");
  });
});

Deno.test("a batch without a counted label has loss 0 and gradient 0", async () => {
  await useBackend("wasm");
  tf.tidy(() => {
    const labels = tf.tensor1d([-100, -100], "int32");
    const { value, grad } = tf.valueAndGrad((x) => crossEntropy(x, labels, { ignoreIndex: -100 }))(tf.ones([2, 3]));
    assertEquals(value.dataSync()[0], 0);
    assertEquals([...grad.dataSync()], [0, 0, 0, 0, 0, 0]);
  });
});

Deno.test("a frozen weight changes nothing in a convolution's value and its input's gradient", async () => {
  await useBackend("wasm");
  tf.tidy(() => {
    const x = tf.randomNormal([2, 5, 6, 3], 0, 1, "float32", 1);
    const bias = tf.randomNormal([4], 0, 1, "float32", 3);
    const cases = [
      [conv2d, [4, 3, 3, 3], { padding: 1 }],
      [conv2d, [4, 3, 3, 3], { stride: 2 }],
      [conv2d, [4, 3, 1, 1], {}],
      [convTranspose2d, [3, 4, 2, 2], { stride: 2 }],
      [convTranspose2d, [3, 4, 3, 3], { stride: 2, padding: 1 }],
    ] as const;
    for (const [operation, shape, options] of cases) {
      const weight = tf.randomNormal([...shape], 0, 1, "float32", 2);
      const under = (frozen: boolean) =>
        tf.valueAndGrad((x) => tf.sum(tf.square(operation(x, weight, bias, { ...options, frozen }))))(x);
      const [frozen, trained] = [under(true), under(false)];
      assertEquals(frozen.value.dataSync(), trained.value.dataSync());
      assertEquals(frozen.grad.dataSync(), trained.grad.dataSync());
    }
  });
});
