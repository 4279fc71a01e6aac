/**
 * Pictures sent as bytes: the numbers that they are looked up as are those that they would have been sent as, bit by bit.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { startResident } from "../../dsl/compile/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { init, type Layer, lookUpBytes, type Tensor } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { canPack, evaluationTransform, trainingTransform, type TransformOptions } from "../../tasks/data/augment.ts";
import { byteTables } from "../../tasks/data/normalise.ts";
import { key } from "../../dsl/random.ts";
import {
  depthEvaluationTransform,
  depthTrainingTransform,
  type DepthTransformOptions,
} from "../../tasks/depth/augment.ts";
import { metricInput } from "../../tasks/depth/estimator.ts";
import { resampled } from "../../tasks/depth/resample.ts";
import { sceneSplits } from "../../tasks/depth/scenes.ts";
import { depthObjective, depthTask } from "../../tasks/depth/training.ts";
import { generationTables, generationTransform } from "../../tasks/generation/preprocess.ts";
import { classificationTask } from "../../tasks/image_classification/training.ts";
import { available } from "../support/available.ts";

/** A picture of every kind of byte, the highest bit set too. */
function picture(channels: number, height = 9, width = 11) {
  const pixels = Uint8Array.from({ length: channels * height * width }, (_, i) => (i * 89 + 130) % 256);
  return { pixels, channels, height, width, label: 1 };
}

const grey: TransformOptions = { size: 8, channels: 1, mean: [0.1307], std: [0.3081] };
const colour: TransformOptions = {
  size: [6, 12],
  channels: 3,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};
const preparation = {
  resize: { kind: "exact", height: 6, width: 12 },
  resample: "bicubic",
  rescale: 1 / 127.5,
} as const;

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  Deno.test(`every word's bytes are looked up in the picture's own table, on ${backend}`, async () => {
    await useBackend(backend);
    const words = Int32Array.from([0x7fffffff, -0x80000000, 0x00ffff00, 0x01000001, -1, 0x1234cafe, -0x7f, 255]);
    const table = Float32Array.from({ length: 2 * 256 }, (_, i) => 1000 * (i >> 8) + (i & 255));
    const seen = tf.tidy(() =>
      lookUpBytes(tf.tensor4d(words, [2, 1, 1, 4], "int32"), tf.tensor3d(table, [2, 1, 256])).dataSync()
    );
    assertEquals(seen, Float32Array.from(new Uint8Array(words.buffer), (byte, i) => byte + (i < 16 ? 0 : 1000)));
  });
}

Deno.test("bytes and their tables give the numbers that a transform gives, bit by bit", async () => {
  await useBackend("cpu");
  const others: readonly TransformOptions[] = [grey, colour, {
    ...colour,
    preparation: { ...preparation, reversed: true },
  }];
  for (const options of others) {
    for (const channels of [1, 3]) {
      for (const make of [evaluationTransform, trainingTransform]) {
        const image = picture(channels);
        const numbers = make(options);
        const bytes = make({ ...options, packed: true });
        const [depth, height, width] = numbers.shape;
        assertEquals(bytes.shape, [depth, height, width / 4]);
        const words = new Int32Array(bytes.apply(image, key(3)).buffer);
        const tables = byteTables({ ...options, ...options.preparation });
        const seen = tf.tidy(() =>
          lookUpBytes(
            tf.tensor(words, [1, ...bytes.shape], "int32"),
            tf.tensor2d(tables, [options.channels, 256]),
          ).dataSync()
        );
        assertEquals(seen, numbers.apply(image, key(3)));
      }
    }
  }
});

Deno.test("rows that are no whole words, and numbers that are no bytes, stay numbers", () => {
  assertEquals([grey, colour, { ...grey, size: 30 }].map(canPack), [true, true, false]);
  assert(!canPack({ ...colour, preparation: { ...preparation, padMultiple: 8 } }));
});

Deno.test("a classifier's batches as bytes are its batches as numbers, in order, augmentation and labels", async () => {
  await useBackend("cpu");
  const data = { name: "made", size: 5, classes: ["a", "b"], get: (i: number) => ({ ...picture(3), label: i % 2 }) };
  const { mean, std } = colour;
  const image = { height: 8, width: 8, channels: 3, mean, std, size: 8 } as never;
  const feed = { batchSize: 3, accumulate: 2, seed: 1, shuffle: true, augment: true, workers: 0 };
  const batches = async (bytes: boolean) => {
    const task = classificationTask({} as Layer, image, { train: data, test: data }, { ...feed, bytes });
    const { value } = await task.batches({ epoch: 0, offset: 0 }).next();
    return value!.parts.map((part) =>
      tf.tidy(() => {
        const { pixels, words, table, labels } = part.tensors();
        const numbers: Tensor = words === undefined ? pixels : lookUpBytes(words, table);
        return { bytes: words !== undefined, values: numbers.dataSync(), labels: labels.dataSync() };
      })
    );
  };
  const [numbers, bytes] = [await batches(false), await batches(true)];
  assertEquals(bytes.map((part) => part.bytes), [true, true]);
  assertEquals(
    bytes.map(({ values, labels }) => [values, labels]),
    numbers.map(({ values, labels }) => [values, labels]),
  );
});

Deno.test("depth's pictures as bytes are its pictures as numbers, varied and stretched on the other side", async () => {
  await useBackend("cpu");
  const { mean, std } = colour;
  /** Largest difference, and how many pictures were left as bytes. */
  const compared = (height: number, width: number, options: DepthTransformOptions, augment: boolean) => {
    const make = augment ? depthTrainingTransform : depthEvaluationTransform;
    const [plain, packed] = [make(options), make({ ...options, packed: true })];
    let [largest, bytes] = [0, 0];
    for (let i = 0; i < 6; i++) {
      const pixels = Uint8Array.from({ length: 3 * height * width }, (_, j) => (j * 89 + 130 * i) % 256);
      const depth = Float32Array.from({ length: height * width }, (_, j) => 1 + j % 5);
      const [numbers, sample] = [plain, packed].map(({ apply }) => apply({ pixels, depth, height, width }, key(i)));
      assertEquals(sample.depth, numbers.depth);
      const { table } = sample;
      if (table !== undefined) bytes++;
      const seen = table === undefined ? sample.pixels : tf.tidy(() => {
        const words = tf.tensor4d(new Int32Array(sample.pixels.buffer), [1, 3, height, width / 4], "int32");
        const pictures = lookUpBytes(words, tf.tensor3d(table, [1, 3, 256])) as tf.Tensor4D;
        return resampled(pictures, [options.height, options.width]).dataSync() as Float32Array;
      });
      seen.forEach((value, j) => largest = Math.max(largest, Math.abs(value - numbers.pixels[j])));
    }
    return { largest, bytes };
  };
  const input = { height: 6, width: 8, mean, std };
  for (const augment of [false, true]) {
    // Of one size nothing is mixed, and every bit is the same.
    assertEquals(compared(6, 8, input, augment), { largest: 0, bytes: 6 });
    assertEquals(compared(6, 8, { ...input, rescale: 1 / 127.5 }, augment), { largest: 0, bytes: 6 });
    for (const [height, width] of [[9, 16], [5, 4]]) {
      const { largest, bytes } = compared(height, width, input, augment);
      assertEquals(bytes, 6);
      assertLess(largest, 1e-6);
    }
    // Bytes that are more than the numbers, and rows that are no whole words.
    assertEquals(compared(20, 16, input, augment), { largest: 0, bytes: 0 });
    assertEquals(compared(6, 7, input, augment), { largest: 0, bytes: 0 });
  }
});

Deno.test("batches of depth as bytes have the losses of those as numbers", async () => {
  await useBackend("wasm");
  const splits = sceneSplits("indoor", { height: 14, width: 28, train: 5, test: 1 });
  const model = await openModel("dpt-micro");
  const params = init(model.layer, key(2));
  const input = metricInput(model);
  const feed = { batchSize: 3, accumulate: 2, seed: 1, shuffle: true, augment: true, workers: 0 };
  const losses = async (bytes: boolean) => {
    const objective = depthObjective(model.layer, splits.protocol, input);
    const batches = depthTask(model.layer, input, splits, { ...feed, bytes }).batches({ epoch: 0, offset: 0 });
    const { value } = await batches.next();
    await batches.return();
    return value!.parts.map(({ tensors }) =>
      tf.tidy(() => {
        const batch = tensors();
        assertEquals("words" in batch, bytes);
        return objective(params, batch).loss.dataSync()[0];
      })
    );
  };
  const [numbers, bytes] = [await losses(false), await losses(true)];
  numbers.forEach((loss, i) => assertAlmostEquals(bytes[i], loss, 1e-6 * Math.abs(loss) + 1e-6));
  tf.dispose(params);
});

Deno.test("pictures for a diffusion model as bytes are those as numbers, mirrored ones too", async () => {
  await useBackend("cpu");
  for (const channels of [1, 3]) {
    for (const flip of [0, 1]) {
      const [numbers, bytes] = [false, true].map((packed) => generationTransform({ size: 8, channels, flip, packed }));
      assertEquals(bytes.shape, [channels, 8, 2]);
      const image = picture(channels);
      const seen = tf.tidy(() => {
        const words = tf.tensor(new Int32Array(bytes.apply(image, key(1)).buffer), [1, ...bytes.shape], "int32");
        return lookUpBytes(words, tf.tensor2d(generationTables(channels), [channels, 256])).dataSync();
      });
      assertEquals(seen, numbers.apply(image, key(1)));
    }
  }
});

Deno.test({
  name: "a step as one compiled function looks bytes up without changing a bit",
  ignore: (await available("tensorflow")).length === 0,
  fn: async () => {
    await useBackend("tensorflow");
    const bytes = Int32Array.from({ length: 2 * 3 * 4 * 64 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
    const table = Float32Array.from({ length: 3 * 256 }, (_, i) => Math.sin(i) / 3);
    for (const graph of ["whole", "clusters"] as const) {
      const resident = startResident(
        ({ frozen, optimiser }, { words, table }) => {
          const seen = lookUpBytes(words, table);
          return [{ frozen, trained: { seen }, optimiser }, { loss: tf.sum(seen) as tf.Scalar }];
        },
        { frozen: {}, trained: { seen: tf.zeros([2, 3, 4, 256]) }, optimiser: {} },
        { graph, feed: "words" },
      );
      const batch = { words: tf.tensor(bytes, [2, 3, 4, 64], "int32"), table: tf.tensor2d(table, [3, 256]) };
      await resident.step(batch);
      const { trained } = resident.read();
      const raw = new Uint8Array(bytes.buffer);
      assertEquals(
        trained.seen.dataSync(),
        Float32Array.from(raw, (byte, i) => table[256 * (Math.floor(i / (4 * 256)) % 3) + byte]),
      );
      resident.dispose();
      tf.dispose([batch, trained]);
    }
  },
});
