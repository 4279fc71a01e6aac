import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { uniform } from "../../dsl/random.ts";
import { evaluationTransform, type ImageTransform } from "../../tasks/data/augment.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { type Batch, batches, type BatchOptions } from "../../tasks/data/loader.ts";
import { ownImages } from "../../tasks/data/own.ts";

/** Examples whose only byte is their index; the ones listed as broken cannot be read. */
function numbered(size: number, broken: readonly number[] = []): ImageDataset {
  return {
    name: "numbers",
    size,
    classes: ["even", "odd"],
    get: async (index) => {
      // Later examples arrive first, as they may when decoding.
      await new Promise((resolve) => setTimeout(resolve, index % 3 === 0 ? 1 : 0));
      if (broken.includes(index)) {
        throw new OneloraError({ attempted: `decoding ${index}.jpg`, found: "noise", allowed: "an intact image" });
      }
      return { pixels: Uint8Array.of(index), height: 1, width: 1, channels: 1, label: index % 2 };
    },
  };
}

/** The byte and a number that depends on the augmentation key. */
const transform: ImageTransform = {
  shape: [2, 1, 1],
  apply: ({ pixels }, key) => Float32Array.of(pixels[0], uniform(key, 1)[0]),
};

const options = (changes: Partial<BatchOptions> = {}): BatchOptions => ({
  dataset: numbered(10),
  transform,
  batchSize: 4,
  seed: 3,
  ...changes,
});

async function collect(changes: Partial<BatchOptions> = {}, most = Infinity): Promise<Batch[]> {
  const out: Batch[] = [];
  for await (const batch of batches(options(changes))) {
    out.push(batch);
    if (out.length >= most) break;
  }
  return out;
}

const order = (list: readonly Batch[]) => list.flatMap(({ indices }) => [...indices]);

/** Augmented value by epoch and index. */
const augmented = (list: readonly Batch[]) =>
  Object.fromEntries(
    list.flatMap(({ position, indices, pixels }) =>
      Array.from(indices, (index, i) => [`${position.epoch}/${index}`, pixels[2 * i + 1]])
    ).sort(([a], [b]) => (a < b ? -1 : 1)),
  );

Deno.test("a batch holds its examples' pixels, labels and indices, and where it starts and ends", async () => {
  const [first, second, third, ...rest] = await collect({ shuffle: false });
  assertEquals(rest, []);
  assertEquals(first.shape, [4, 2, 1, 1]);
  assertEquals([...first.labels], [0, 1, 0, 1]);
  assertEquals([0, 2, 4, 6].map((i) => first.pixels[i]), [0, 1, 2, 3]);
  assertEquals([first.position, first.next], [{ epoch: 0, offset: 0 }, { epoch: 0, offset: 4 }]);
  assertEquals([second.position, second.next], [{ epoch: 0, offset: 4 }, { epoch: 0, offset: 8 }]);
  assertEquals([third.shape[0], third.next], [2, { epoch: 1, offset: 0 }]);
  assertEquals(order([first, second, third]), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("every epoch is another order of all examples, the same in every run, another with another seed", async () => {
  const two = await collect({ epochs: 2 });
  const [one, other] = [order(two.slice(0, 3)), order(two.slice(3))];
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  assertEquals(one.toSorted((a, b) => a - b), all);
  assertEquals(other.toSorted((a, b) => a - b), all);
  assertNotEquals(one, other);
  assertEquals(await collect({ epochs: 2 }), two);
  assertNotEquals(order(await collect({ seed: 4 })), one);
});

Deno.test("order and augmentation depend on neither batch size nor prefetching; augmentation not on order either", async () => {
  const reference = await collect({ epochs: 2 });
  const other = await collect({ epochs: 2, batchSize: 3, prefetch: 0 });
  assertEquals(order(other), order(reference));
  assertEquals(augmented(other), augmented(reference));
  assertEquals(augmented(await collect({ epochs: 2, shuffle: false, prefetch: 9 })), augmented(reference));
  const values = Object.values(augmented(reference));
  assertEquals(new Set(values).size, 20);
});

Deno.test("resuming at any batch's next continues exactly", async () => {
  for (const changes of [{ epochs: 3 }, { epochs: 3, dropLast: true }, { epochs: 3, limit: 7 }]) {
    const whole = await collect(changes);
    for (let i = 0; i < whole.length; i++) {
      assertEquals(await collect({ ...changes, start: whole[i].next }), whole.slice(i + 1));
    }
  }
  const offset = await collect({ start: { epoch: 0, offset: 3 } });
  assertEquals(order(offset), order(await collect()).slice(3));
});

Deno.test("dropLast leaves out the part batch, in every epoch", async () => {
  const kept = await collect({ epochs: 2, dropLast: true });
  assertEquals(kept.map(({ shape }) => shape[0]), [4, 4, 4, 4]);
  assertEquals(kept.map(({ next }) => next.epoch), [0, 1, 1, 2]);
  await assertRejects(() => collect({ dropLast: true, batchSize: 11 }), OneloraError, "batches of 11");
});

Deno.test("limit takes the first examples in order, or the same seeded choice every epoch", async () => {
  assertEquals(order(await collect({ limit: 5, shuffle: false })), [0, 1, 2, 3, 4]);
  const two = order(await collect({ limit: 5, epochs: 2 }));
  const [one, other] = [two.slice(0, 5), two.slice(5)];
  assertEquals(new Set(one).size, 5);
  assertEquals(new Set(one), new Set(other));
  assertNotEquals(one.toSorted((a, b) => a - b), [0, 1, 2, 3, 4]);
  assertEquals(order(await collect({ limit: 50 })).length, 10);
});

Deno.test("endless epochs stop when the consumer does", async () => {
  const many = await collect({ epochs: Infinity }, 8);
  assertEquals(many.length, 8);
  assertEquals(many[7].position, { epoch: 2, offset: 4 });
});

Deno.test("an unreadable example is left out of its batch, counted and told; every other one stays in place", async () => {
  const lines: string[] = [];
  const list = await collect({
    dataset: numbered(10, [2, 5, 4, 6, 7]),
    shuffle: false,
    onSkip: (line) => lines.push(line),
  });
  assertEquals(list.map(({ indices }) => [...indices]), [[0, 1, 3], [8, 9]]);
  assertEquals(list[0].shape, [3, 2, 1, 1]);
  assertEquals(list[0].skipped, ["decoding 2.jpg: found noise; allowed: an intact image"]);
  assertEquals(lines.map((line) => line.slice(9, 10)), ["2", "4", "5", "6", "7"]);
  const intact = augmented(await collect({ shuffle: false }));
  for (const [name, value] of Object.entries(augmented(list))) assertEquals(value, intact[name]);
});

Deno.test("strict batching fails at the first unreadable example, after the batches before it", async () => {
  const seen: number[] = [];
  await assertRejects(
    async () => {
      for await (const batch of batches(options({ dataset: numbered(10, [9]), shuffle: false, strict: true }))) {
        seen.push(...batch.indices);
      }
    },
    OneloraError,
    "decoding 9.jpg",
  );
  assertEquals(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("a pass without any readable example is an error, not an endless search", async () => {
  const dataset = numbered(6, [0, 1, 2, 3, 4, 5]);
  await assertRejects(
    () => collect({ dataset, epochs: Infinity }),
    OneloraError,
    "no readable example in a whole pass",
  );
});

Deno.test("errors that are not the data's pass through", async () => {
  const faulty: ImageTransform = {
    shape: [1, 1, 1],
    apply: () => {
      throw new TypeError("a bug");
    },
  };
  await assertRejects(() => collect({ transform: faulty }), TypeError, "a bug");
});

Deno.test("preparation runs ahead of the consumer by as many batches as asked", async () => {
  const reads: number[] = [];
  const dataset: ImageDataset = {
    ...numbered(20),
    get: (index) => {
      reads.push(index);
      return { pixels: Uint8Array.of(index), height: 1, width: 1, channels: 1, label: 0 };
    },
  };
  for (const [prefetch, expected] of [[0, 4], [1, 8], [3, 16]]) {
    reads.length = 0;
    for await (const batch of batches(options({ dataset, prefetch, shuffle: false }))) {
      assertEquals(batch.position.offset, 0);
      assertEquals(reads.length, expected);
      break;
    }
  }
});

Deno.test("batching refuses sizes and places that make no sense", async () => {
  for (
    const [changes, found] of [
      [{ batchSize: 0 }, "batch size 0"],
      [{ batchSize: 1.5 }, "batch size 1.5"],
      [{ limit: 0 }, "limit 0"],
      [{ limit: 2.5 }, "limit 2.5"],
      [{ prefetch: -1 }, "prefetch -1"],
      [{ start: { epoch: 0, offset: 10 } }, "offset 10"],
      [{ start: { epoch: -1, offset: 0 } }, "epoch -1"],
      [{ dataset: numbered(0) }, "no examples"],
    ] as const
  ) {
    const error = await assertRejects(() => collect(changes), OneloraError, found);
    assert(error.message.includes("numbers"));
  }
});

Deno.test("labels become the model's, and ones at every label where there may be several", async () => {
  const image = { data: Uint8Array.of(9), width: 1, height: 1 };
  const examples = [["b", "a"], [], ["c"], "b"].map((label) => ({ image, label }));
  const { train } = ownImages(examples, [{ image, label: ["a"] }], { seed: 0, onLine: () => {} });
  assertEquals([train.classes, train.multiLabel], [["a", "b", "c"], true]);
  const transform = evaluationTransform({ size: 1, channels: 1, mean: [0], std: [1] });
  const options = { dataset: train, transform, batchSize: 4, seed: 0, shuffle: false };
  for (const workers of [0, 1]) {
    const [{ labels, targets }] = await Array.fromAsync(
      batches({ ...options, workers, relabel: Int32Array.of(3, 1, 0), manyHot: 4 }),
    );
    assertEquals([[...labels], [...targets!]], [[3, -1, 0, 1], [0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]]);
  }
  const [plain] = await Array.fromAsync(batches(options));
  assertEquals([[...plain.labels], plain.targets], [[0, -1, 2, 1], undefined]);
});
