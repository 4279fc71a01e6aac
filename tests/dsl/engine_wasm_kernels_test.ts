import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/engine/mod.ts";
import { source } from "../../dsl/engine/wasm/kernels.wasm.ts";
import { registerWasmKernels } from "../../dsl/engine/wasm/mod.ts";
import { place } from "../../dsl/engine/wasm/module.ts";
import { sourceDigest } from "../../scripts/tools/kernels/source.ts";
import { assertUlps, erf, numbers, onCpu, random, testKernels } from "../support/wasm_kernels.ts";

/** Every length that a vector may end with, and more than one loop of four vectors. */
const lengths = [1, 2, 3, 4, 5, 7, 17, 50, 97];

/** Small, large, special: what a function of one number is tried on. */
const grid = Float32Array.from([
  ...Array.from({ length: 4001 }, (_, i) => (i - 2000) / 20),
  ...Array.from({ length: 2001 }, (_, i) => (i - 1000) / 250),
  ...Array.from({ length: 60 }, (_, i) => 2 ** (i - 58)),
  ...[0, -0, 88.7, 88.8, -87.4, -103.9, -104.1, 1e30, -1e30, Infinity, -Infinity, NaN],
]);

const functions: Readonly<Record<string, readonly [(x: tf.Tensor) => tf.Tensor, (x: number) => number, number]>> = {
  exp: [tf.exp, Math.exp, 2],
  tanh: [tf.tanh, Math.tanh, 4],
  erf: [tf.erf, erf, 3],
  sigmoid: [tf.sigmoid, (x) => x < -126.5 * Math.LN2 ? 0 : 1 / (1 + Math.exp(-x)), 3],
  sqrt: [tf.sqrt, Math.sqrt, 0.5],
  rsqrt: [tf.rsqrt, (x) => 1 / Math.sqrt(x), 1.5],
  reciprocal: [tf.reciprocal, (x) => 1 / x, 0.5],
};

for (const [name, [compute, exact, ulps]] of Object.entries(functions)) {
  testKernels(`${name} is right to ${ulps} units in the last place`, () => {
    assertUlps(compute(tf.tensor1d(grid)).dataSync(), Array.from(grid, exact), ulps, name);
    for (const length of lengths) {
      const values = numbers(length, length).map(Math.abs);
      assertUlps(compute(tf.tensor1d(values)).dataSync(), Array.from(values, exact), ulps, `${name} of ${length}`);
    }
  });
}

/** Pairs of shapes: equal, one element, trailing axes, one element a row, and broadcasts left to tfjs. */
const pairs = [
  ...lengths.map((length) => [[length], [length]]),
  ...lengths.flatMap((length) => [[[3, length], [length]], [[3, length], [3, 1]], [[5, length], []]]),
  ...[[[2, 3, 5], [3, 5]], [[2, 3, 5], [1, 3, 5]], [[2, 3, 5], [1, 1, 1, 1]], [[2, 3, 5], [2, 3, 1]]],
  ...[[[2, 3, 5], [2, 1, 5]], [[2, 1, 5], [1, 3, 5]], [[7, 1], [1, 6]], [[1, 1], [1]], [[1, 5], [1, 1, 5]]],
];

for (
  const [name, f] of Object.entries({ maximum: tf.maximum, minimum: tf.minimum, difference: tf.squaredDifference })
) {
  testKernels(`${name} broadcasts as on the cpu backend`, async () => {
    for (const [first, second] of pairs) {
      for (const [left, right] of [[first, second], [second, first]]) {
        const [a, b] = [random(left, 1), random(right, 2)];
        const compute = () => f(a, b);
        const found = compute();
        assertEquals(found.shape, tf.broadcastTo(a, found.shape).shape);
        assertUlps(found.dataSync(), await onCpu(compute), 3, `${name} of [${left}] and [${right}]`);
      }
    }
    const [a, b] = [tf.tensor1d([NaN, 1, NaN, -Infinity]), tf.tensor1d([1, NaN, NaN, Infinity])];
    assertEquals([...f(a, b).dataSync()].slice(0, 3), [NaN, NaN, NaN]);
  });
}

/** Shapes and the axes to reduce: last, first, middle, all, several, and those left to tfjs. */
const reductions: readonly (readonly [shape: number[], axes?: number | number[]])[] = [
  ...lengths.flatMap((length) => [[[3, length], -1], [[length, 5], 0], [[2, length, 6], 1]] as [number[], number][]),
  ...[[[4, 5, 6], [0, 1]], [[4, 5, 6], [1, 2]], [[4, 5, 6], [0, 2]], [[4, 1, 6], 1]] as [number[], number[]][],
  ...[[[4, 1, 6], [0, 1]], [[1, 7], 0], [[2, 3, 1], [0, 2]], [[300, 10], 0]] as [number[], number[]][],
  [[4, 5, 6]],
  [[]],
];

for (const [name, f] of Object.entries({ sum: tf.sum, mean: tf.mean, max: tf.max })) {
  testKernels(`${name} over any axes is that of the cpu backend`, async () => {
    for (const [shape, axes] of reductions) {
      for (const keepDims of [false, true]) {
        const x = random(shape, 3);
        const compute = () => f(x, axes, keepDims);
        const found = compute();
        const expected = await onCpu(compute);
        const expectedShape = tf.tidy(() => tf.sum(tf.cast(x, "int32"), axes, keepDims).shape);
        assertEquals(found.shape, expectedShape);
        found.dataSync().forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-6 * 3 * x.size));
      }
    }
    const special = tf.tensor2d([1, 2, NaN, 3, 4, 5, Infinity, 6, 7, -Infinity], [2, 5]);
    assertEquals(f(special, 1).dataSync()[0], NaN);
  });
}

testKernels("a long sum loses few digits", () => {
  const values = numbers(3200 * 5, 9);
  const x = tf.tensor2d(values, [3200, 5]);
  const columns = [0, 1, 2, 3, 4].map((j) => values.reduce((sum, value, i) => i % 5 === j ? sum + value : sum, 0));
  tf.sum(x, 0).dataSync().forEach((value, j) => assertAlmostEquals(value, columns[j], 3200 * 1.5 * 2 ** -22));
  assertAlmostEquals(tf.sum(x).dataSync()[0], columns.reduce((a, b) => a + b), 16000 * 1.5 * 2 ** -22);
});

testKernels("softmax is right to the last digits, with what is masked at zero", () => {
  for (const length of lengths) {
    const values = numbers(3 * length, length);
    const found = tf.softmax(tf.tensor2d(values, [3, length])).dataSync();
    for (let row = 0; row < 3; row++) {
      const exponentials = Array.from(values.subarray(row * length, (row + 1) * length), Math.exp);
      const total = exponentials.reduce((a, b) => a + b);
      exponentials.forEach((e, j) => assertAlmostEquals(found[row * length + j], e / total, 6e-7 * e / total));
    }
  }
  const masked = tf.softmax(tf.tensor1d([0, -1e9, 0, -Infinity, 1000 - 1000])).dataSync();
  assertEquals([...masked].map((value) => value > 0), [true, false, true, false, true]);
  assertEquals([...tf.softmax(tf.tensor1d([1, NaN])).dataSync()], [NaN, NaN]);
});

testKernels("every transposition is that of the cpu backend", async () => {
  const permutations = (axes: number[]): number[][] =>
    axes.length === 0
      ? [[]]
      : axes.flatMap((axis) => permutations(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]));
  const shapes = [[5, 7], [16, 32], [33, 50], [1, 9], [3, 5, 7], [2, 17, 20], [2, 3, 4, 5], [2, 5, 3, 1], [1, 2, 1, 3]];
  for (const shape of shapes) {
    for (const perm of permutations(shape.map((_, axis) => axis))) {
      for (const dtype of ["float32", "int32"] as const) {
        const x = tf.cast(random(shape, 4), dtype);
        const compute = () => tf.transpose(x, perm);
        const found = compute();
        assertEquals<readonly number[]>(found.shape, perm.map((axis) => shape[axis]));
        assertEquals(found.dtype, dtype);
        assertEquals(found.dataSync(), await onCpu(compute), `[${shape}] by [${perm}]`);
      }
    }
  }
});

testKernels("permutations of many axes and reversed axes are those of the cpu backend", async () => {
  const wide = [[[3, 2, 5, 4, 6, 2], [0, 2, 4, 1, 3, 5]], [[2, 3, 2, 5, 3, 7], [5, 3, 1, 0, 2, 4]], [[3, 4, 5, 6, 2], [
    4,
    2,
    0,
    3,
    1,
  ]]] as const;
  for (const [shape, perm] of wide) {
    const compute = () => tf.transpose(random(shape, 4), [...perm]);
    assertEquals(compute().dataSync(), await onCpu(compute), `[${shape}] by [${perm}]`);
  }
  for (const axes of [[0, 1], [0], [1], [0, 2], [1, 2], [3], [0, 1, 2, 3]]) {
    const compute = () => tf.reverse(random([3, 4, 5, 6], 7), axes);
    assertEquals(compute().dataSync(), await onCpu(compute), `axes [${axes}]`);
  }
});

/** Image, kernel, stride and padding. */
const convolutions: readonly (readonly [readonly number[], readonly number[], number, "same" | "valid" | number])[] = [
  [[2, 9, 7, 3], [3, 3, 3, 5], 1, "same"],
  [[1, 8, 8, 70], [3, 3, 70, 13], 1, "same"],
  [[3, 6, 5, 4], [1, 1, 4, 8], 1, "valid"],
  [[3, 7, 5, 4], [1, 1, 4, 9], 2, "same"],
  [[2, 11, 10, 5], [3, 2, 5, 6], 2, "valid"],
  [[2, 11, 10, 5], [5, 4, 5, 12], 3, "same"],
  [[2, 4, 4, 2], [7, 7, 2, 3], 1, 3],
  [[1, 5, 5, 1], [2, 2, 1, 1], 1, 1],
  // By tiles of 2 x 2 output pixels: channels and columns that end early, images smaller than a tile, every padding.
  [[2, 9, 8, 24], [3, 3, 24, 24], 1, "same"],
  [[2, 7, 10, 12], [3, 3, 12, 17], 1, "valid"],
  [[1, 6, 6, 5], [3, 3, 5, 1], 1, "same"],
  [[3, 5, 4, 7], [3, 3, 7, 4], 1, 2],
  [[5, 1, 1, 4], [3, 3, 4, 12], 1, "same"],
  [[4, 2, 3, 6], [3, 3, 6, 9], 1, "same"],
  [[1, 3, 3, 130], [3, 3, 130, 8], 1, "valid"],
  [[1, 30, 21, 65], [3, 3, 65, 13], 1, "same"],
  [[1, 4, 5, 300], [3, 3, 300, 297], 1, "same"],
  [[1, 4, 5, 301], [3, 3, 301, 297], 1, "same"],
];

testKernels("convolutions and their gradients are those of the cpu backend", async () => {
  for (const [shape, kernel, stride, pad] of convolutions) {
    const [x, filter] = [random(shape, 1) as tf.Tensor4D, random(kernel, 2) as tf.Tensor4D];
    const convolve = () => tf.conv2d(x, filter, stride, pad);
    const dy = random(convolve().shape, 3) as tf.Tensor4D;
    const back = () => tf.grad((image: tf.Tensor) => tf.conv2d(image as tf.Tensor4D, filter, stride, pad))(x, dy);
    const scale = 9 * kernel[0] * kernel[1] * kernel[2];
    for (const compute of [convolve, back]) {
      const [found, expected] = [compute().dataSync(), await onCpu(compute)];
      assertEquals(found.length, expected.length);
      found.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-6 * scale, `[${shape}] by [${kernel}]`));
    }
  }
});

testKernels("gathering is that of the cpu backend, and refuses indices that are not there", async () => {
  for (const shape of [[7, 1], [7, 5], [2, 7, 3], [2, 3, 7]]) {
    const axis = shape.indexOf(7);
    const [x, indices] = [random(shape, 5), tf.tensor2d([6, 0, 3, 3, 1, 6], [2, 3], "int32")];
    const compute = () => tf.gather(x, indices, axis);
    assertEquals(compute().dataSync(), await onCpu(compute), `[${shape}]`);
  }
  for (const index of [-1, 7]) assertThrows(() => tf.gather(random([7, 2], 5), tf.tensor1d([index], "int32")));
});

testKernels("tiling is that of the cpu backend", async () => {
  const cases = [[[3], [5]], [[1, 5], [7, 1]], [[6, 1], [1, 9]], [[2, 3, 4], [3, 1, 2]], [[2, 2], [1, 1]], [[2, 3], [
    2,
    3,
  ]]];
  for (const [shape, reps] of cases) {
    for (const dtype of ["float32", "int32", "bool"] as const) {
      const x = tf.cast(random(shape, 6), dtype);
      const compute = () => tf.tile(x, reps);
      const found = compute();
      assertEquals<readonly number[]>(found.shape, shape.map((length, axis) => length * reps[axis]));
      assertEquals(found.dataSync(), await onCpu(compute), `[${shape}] ${reps} times`);
    }
  }
});

testKernels("slices, parts and joined tensors are those of the cpu backend", async () => {
  const slices = [
    [[7], [2], [3]],
    [[7], [0], [7]],
    [[5, 9], [1, 2], [3, 6]],
    [[5, 9], [2, 0], [2, 9]],
    [[4, 5, 6], [0, 1, 0], [4, 3, 6]],
    [[4, 5, 6], [1, 1, 1], [2, 3, 4]],
    [[4, 1, 6], [1, 0, 3], [3, 1, 1]],
    [[2, 3, 4, 5], [0, 1, 0, 3], [2, 2, 4, 2]],
    [[2, 3, 4, 5], [1, 0, 2, 0], [1, 3, 1, 5]],
    [[2, 3, 4, 5], [1, 0, 2, 1], [-1, -1, -1, -1]],
  ];
  for (const [shape, begin, size] of slices) {
    const x = random(shape, 7);
    const compute = () => tf.slice(x, begin, size);
    const found = compute();
    assertEquals<readonly number[]>(found.shape, size.map((length, i) => length === -1 ? shape[i] - begin[i] : length));
    assertEquals(found.dataSync(), await onCpu(compute), `[${shape}] from [${begin}]`);
  }
  assertThrows(() => tf.slice(random([3], 1), [2], [2]));
  for (const [shape, axis] of [[[6], 0], [[4, 6], 1], [[6, 5], 0], [[2, 6, 3], 1]] as [number[], number][]) {
    for (const dtype of ["float32", "int32", "bool"] as const) {
      const x = tf.cast(random(shape, 8), dtype);
      const compute = () => tf.concat([...tf.split(x, [1, 2, 3], axis), ...tf.split(x, 2, axis), x], axis);
      const found = compute();
      assertEquals(found.dtype, dtype);
      assertEquals(found.dataSync(), await onCpu(compute), `[${shape}] along ${axis}`);
    }
  }
});

testKernels("tensors without elements and of other types go to tfjs's kernels", async () => {
  assertEquals(tf.exp(tf.zeros([0])).shape, [0]);
  assertEquals(tf.transpose(tf.zeros([2, 0, 3])).shape, [3, 0, 2]);
  assertEquals(tf.concat([tf.zeros([2, 0]), tf.ones([2, 1])], 1).dataSync(), Float32Array.of(1, 1));
  assertEquals(tf.sum(tf.tensor1d([1, 2, 3], "int32")).dataSync(), Int32Array.of(6));
  assertEquals(tf.maximum(tf.tensor1d([1, 2], "int32"), tf.scalar(2, "int32")).dataSync(), Int32Array.of(2, 2));
  const mean = () => tf.mean(tf.tensor1d([true, false], "bool"));
  assertEquals(mean().dataSync(), await onCpu(mean));
});

Deno.test("tfjs's kernels come back", async () => {
  await useBackend("wasm");
  const kernels = () => tf.getKernelsForBackend("wasm").map(({ kernelName, kernelFunc }) => [kernelName, kernelFunc]);
  const before = new Map(kernels() as [string, tf.KernelFunc][]);
  const registration = await registerWasmKernels(tf.backend() as BackendWasm);
  assert(registration !== undefined && registration.names.includes("BatchMatMul"));
  assert(tf.getKernel("BatchMatMul", "wasm").kernelFunc !== before.get("BatchMatMul"));
  registration.undo();
  assertEquals(new Map(kernels() as [string, tf.KernelFunc][]), before);
});

Deno.test("an address is put where the placeholder is, up to 4 GB", () => {
  for (const address of [64, 100_000, 2 ** 31, 2 ** 32 - 4096]) {
    // i32.const 0x7ace0600, a byte that is no opcode, i32.const 5.
    const code = Uint8Array.of(0x41, 0x80, 0x8c, 0xb8, 0xd6, 0x07, 0x41, 0x41, 0x05);
    assertEquals(place(code, address), 1);
    const bytes = [...code.subarray(1, 6)].map((digit) => digit & 127);
    assertEquals((bytes[0] | bytes[1] << 7 | bytes[2] << 14 | bytes[3] << 21 | bytes[4] << 28) >>> 0, address + 0x600);
    assertEquals([...code.subarray(6)], [0x41, 0x41, 0x05]);
  }
});

Deno.test("the committed kernels are compiled from the committed source (else: deno task kernels)", async () => {
  assertEquals(source, await sourceDigest());
});
