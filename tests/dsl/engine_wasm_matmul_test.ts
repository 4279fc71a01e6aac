import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-wasm";
import { correctedFusedProduct } from "../../dsl/engine/fused_product.ts";
import { onCpu, random, testKernels } from "../support/wasm_kernels.ts";

/** tfjs-wasm's own, before any test replaces it. */
const tfjsFusedProduct = tf.getKernel("_FusedMatMul", "wasm");

/** Asserts that [b, m, n] is the product of factors [b or 1, m, k] and [b or 1, k, n], whichever are transposed. */
function assertProduct(a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean, c: tf.Tensor): void {
  const [left, right, found] = [a.dataSync(), b.dataSync(), c.dataSync()];
  const [batch, rows, columns] = c.shape;
  const depth = (a.shape as readonly number[])[transposeA ? 1 : 2];
  for (let n = 0, at = 0; n < batch; n++) {
    const [startA, startB] = [a.shape[0] === 1 ? 0 : n * rows * depth, b.shape[0] === 1 ? 0 : n * columns * depth];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++, at++) {
        let [sum, size] = [0, 0];
        for (let p = 0; p < depth; p++) {
          const product = left[startA + (transposeA ? p * rows + i : i * depth + p)] *
            right[startB + (transposeB ? j * depth + p : p * columns + j)];
          sum += product;
          size += Math.abs(product);
        }
        // Rounding adds up like a random walk; a wrong or missing term is far larger.
        const error = Math.abs(found[at] - sum) / (size * 2 ** -24 * Math.sqrt(depth));
        assert(error < 4, `${a.shape} ${transposeA} by ${b.shape} ${transposeB}: [${n}, ${i}, ${j}] off by ${error}`);
      }
    }
  }
}

function check(batches: readonly [number, number], rows: number, depth: number, columns: number): void {
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      tf.tidy(() => {
        const a = random(transposeA ? [batches[0], depth, rows] : [batches[0], rows, depth], rows + depth);
        const b = random(transposeB ? [batches[1], columns, depth] : [batches[1], depth, columns], columns + 7);
        assertProduct(a, b, transposeA, transposeB, tf.matMul(a, b, transposeA, transposeB));
      });
    }
  }
}

testKernels("a matrix product is right for every size of edge", () => {
  const sizes = [1, 2, 3, 5, 6, 7, 8, 13, 17, 50];
  for (const rows of sizes) {
    for (const columns of sizes) {
      for (const depth of [1, 2, 4, 7, 17, 64, 97]) check([1, 1], rows, depth, columns);
    }
  }
});

testKernels("a matrix product is right where it is cut into blocks", () => {
  check([1, 1], 7, 1100, 9);
  check([1, 1], 5, 513, 210);
  check([1, 1], 3, 5, 9000);
  check([1, 1], 97, 197, 97);
});

testKernels("a batch of products takes as many or one matrix from either side", () => {
  for (const batches of [[3, 3], [1, 3], [3, 1], [2, 2]] as const) {
    for (const [rows, depth, columns] of [[1, 5, 3], [5, 3, 1], [50, 24, 50], [7, 17, 9]]) {
      check(batches, rows, depth, columns);
    }
  }
});

testKernels("leading axes broadcast as on the cpu backend", async () => {
  const shapes = [
    [[2, 3, 4, 5], [5, 6], [2, 3, 4, 6]],
    [[2, 3, 4, 5], [1, 1, 5, 6], [2, 3, 4, 6]],
    [[1, 1, 4, 5], [2, 3, 5, 6], [2, 3, 4, 6]],
    [[2, 3, 4, 5], [2, 3, 5, 6], [2, 3, 4, 6]],
    [[4, 5], [2, 5, 6], [2, 4, 6]],
    [[1, 4, 5], [5, 6], [1, 4, 6]],
    [[4, 5], [1, 1, 5, 6], [1, 1, 4, 6]],
  ];
  for (const [first, second, expected] of shapes) {
    const [a, b] = [random(first, 1), random(second, 2)];
    const product = tf.matMul(a, b);
    assertEquals<readonly number[]>(product.shape, expected);
    const values = product.dataSync();
    (await onCpu(() => tf.matMul(a, b))).forEach((value, i) => assertAlmostEquals(values[i], value, 1e-4));
  }
});

testKernels("a fused product adds its bias and applies its activation", async () => {
  // The last two are left to tfjs-wasm's kernel, corrected.
  for (const activation of ["linear", "relu", "relu6", "sigmoid"] as const) {
    for (const [rows, depth, columns] of [[1, 5, 7], [13, 9, 1], [13, 600, 21], [13, 20, 16]]) {
      for (const [transposeA, transposeB] of [[false, false], [false, true], [true, false], [true, true]]) {
        const a = random(transposeA ? [depth, rows] : [rows, depth], 1);
        const b = random(transposeB ? [columns, depth] : [depth, columns], 2);
        const bias = random([columns], 3);
        const compute = () => tf.fused.matMul({ a, b, transposeA, transposeB, bias, activation });
        const values = compute().dataSync();
        (await onCpu(compute)).forEach((value, i) => assertAlmostEquals(values[i], value, 1e-4));
      }
    }
  }
});

testKernels("tfjs-wasm's fused product, without ours, is right about transposed factors and a bias", async () => {
  const plain = tf.findBackend("wasm");
  const product = correctedFusedProduct(tfjsFusedProduct.kernelFunc, tf.getKernel("Transpose", "wasm").kernelFunc);
  for (const [transposeA, transposeB] of [[false, true], [true, false], [true, true]]) {
    const [a, b] = [
      random(transposeA ? [1, 20, 13] : [1, 13, 20], 1),
      random(transposeB ? [1, 16, 20] : [1, 20, 16], 2),
    ];
    const bias = random([16], 3);
    const attrs = { transposeA, transposeB, activation: "relu" };
    const info = product({ inputs: { a, b, bias }, attrs, backend: plain }) as tf.TensorInfo;
    const values = tf.engine().makeTensorFromTensorInfo(info).dataSync();
    const expected = await onCpu(() => tf.relu(tf.add(tf.matMul(a, b, transposeA, transposeB), bias)));
    expected.forEach((value, i) => assertAlmostEquals(values[i], value, 1e-4));
  }
});

testKernels("what is not a number stays so, and stays where it belongs", () => {
  const a = tf.tensor2d([1, NaN, 2, 3, Infinity, 5], [3, 2]);
  const product = tf.matMul(a, tf.tensor2d([1, 0, 0, 1], [2, 2])).arraySync() as number[][];
  assertEquals(product, [[NaN, NaN], [2, 3], [Infinity, NaN]]);
});

testKernels("the same product gives the same bytes", () => {
  const [a, b] = [random([50, 197], 1), random([197, 64], 2)];
  assertEquals(tf.matMul(a, b).dataSync(), tf.matMul(a, b).dataSync());
});

testKernels("products go on after memory has grown", () => {
  const memory = () => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.buffer;
  const before = memory();
  // 80 MB, five times what tfjs-wasm starts with.
  const large = tf.zeros([20, 1024, 1024]);
  assert(memory() !== before || memory().byteLength > 80 * 2 ** 20, "memory did not grow");
  check([1, 1], 13, 50, 24);
  large.dispose();
});

testKernels("many products leave memory as large as it was", () => {
  const buffer = () => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.buffer.byteLength;
  const [a, b] = [random([4, 100, 64], 1), random([4, 64, 100], 2)];
  tf.matMul(a, b).dispose();
  const before = buffer();
  for (let i = 0; i < 2000; i++) tf.matMul(a, b).dispose();
  assertEquals(buffer(), before);
});
