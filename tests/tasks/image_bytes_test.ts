/**
 * Pictures sent as bytes: the numbers that they are looked up as are those that they would have been sent as, bit by bit.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { startResident } from "../../dsl/compile/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { type Layer, lookUpBytes, type Tensor } from "../../dsl/mod.ts";
import { canPack, evaluationTransform, trainingTransform, type TransformOptions } from "../../tasks/data/augment.ts";
import { byteTables } from "../../tasks/data/normalise.ts";
import { key } from "../../dsl/random.ts";
import { classificationTask } from "../../tasks/image_classification/classifier.ts";
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
