import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import {
  type ClassificationSettings,
  imageClassification,
  type ImageSplits,
  type Run,
  runTask,
  sceneSplits,
  taskKind,
  wordProblems,
} from "../../tasks/mod.ts";
import { type HeldOut, picked, validationIndices } from "../../tasks/data/validation.ts";
import { depthBatches } from "../../tasks/depth/loader.ts";
import { depthEvaluationTransform } from "../../tasks/depth/augment.ts";
import { silent } from "../../tasks/trainer/observe.ts";
import { smallCifar } from "../support/command.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

Deno.test("of each class its share is held out, never its last example, and the data alone decide which", () => {
  const sizes = [50, 30, 19, 1];
  const classes = sizes.flatMap((count, label) => new Array<number>(count).fill(label));
  const { held, kept } = validationIndices(100, 10, (i) => classes[i]);
  assertEquals([...held, ...kept].sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i));
  assertEquals(sizes.map((_, label) => [...held].filter((i) => classes[i] === label).length), [5, 3, 2, 0]);
  assertEquals(validationIndices(100, 10, (i) => classes[i]).held, held);
  assertNotEquals([...held], Array.from({ length: 10 }, (_, i) => i));
  // As many as there can be leave one of each.
  assertEquals([...validationIndices(100, 96, (i) => classes[i]).kept].map((i) => classes[i]), [0, 1, 2, 3]);
});

/** Examples of a part as they are told apart. */
async function contents(part: { readonly size: number; get(index: number): unknown }): Promise<readonly string[]> {
  const all = await Promise.all(Array.from({ length: part.size }, (_, i) => part.get(i)));
  return all.map((example) => JSON.stringify(example)).sort();
}

Deno.test("images and depth: what is trained on and what validates are the training part, the test part stays", async () => {
  for (const [name, spec] of [["image-classification", data], ["generation", data]] as const) {
    const kind = taskKind(name);
    const whole = await kind.openData(spec, {}) as ImageSplits;
    const { training, testing } = kind.holdOut(whole, 5) as HeldOut<ImageSplits>;
    assertEquals([training.test.size, training.train.size], [5, whole.train.size - 5]);
    const both = [...await contents(training.train), ...await contents(training.test)].sort();
    assertEquals(both, await contents(whole.train));
    assertEquals(await contents(testing.test), await contents(whole.test));
    assertEquals(await contents(testing.train), await contents(training.train));
    assertThrows(() => kind.holdOut(whole, whole.train.size), OneloraError, "setting `validation`");
  }
  const rooms = sceneSplits("indoor", { height: 14, width: 14, train: 6, test: 2 });
  const { training, testing } = taskKind("depth").holdOut(rooms, 2) as HeldOut<typeof rooms>;
  assertEquals([training.train.size, training.test.size, testing.test.size], [4, 2, 2]);
  assertEquals(
    [...await contents(training.train), ...await contents(training.test)].sort(),
    await contents(rooms.train),
  );
});

Deno.test("questions: neither order nor a run's seed moves what validates and what judges", () => {
  const kind = taskKind("reasoning");
  const examples = wordProblems("a", 40, 0);
  const given = { name: "some", examples, skipped: 0 };
  type Questions = typeof given & { readonly test: typeof examples };
  const { training, testing } = kind.holdOut(given, 6) as HeldOut<Questions>;
  assertEquals([training.examples.length, training.test.length, testing.test.length], [26, 6, 8]);
  const texts = (some: typeof examples) => some.map(({ query }) => query).sort();
  assertEquals(texts([...training.examples, ...training.test, ...testing.test]), texts(examples));
  assertEquals(kind.holdOut({ ...given, examples: examples.toReversed() }, 6), { training, testing });
  // Questions that are given to be judged by stay those.
  const own = kind.holdOut({ ...given, test: wordProblems("b", 3, 0) }, 6) as HeldOut<Questions>;
  assertEquals([own.training.examples.length, own.testing.test.length], [34, 3]);
});

Deno.test("other threads read the same examples", async () => {
  const { train } = sceneSplits("indoor", { height: 14, width: 14, train: 8, test: 1 });
  const some = picked(train, Uint32Array.of(6, 1, 3), "some");
  const transform = depthEvaluationTransform({ height: 14, width: 14, mean: [0, 0, 0], std: [1, 1, 1] });
  const read = (workers: number) =>
    Array.fromAsync(depthBatches({ dataset: some, transform, batchSize: 2, seed: 0, shuffle: false, workers }));
  const [first, second] = [await read(0), await read(1)];
  assertEquals(second, first);
  assertEquals(first[0].depth.subarray(0, 196), (await train.get(6)).depth);
});

const run: Run<ClassificationSettings> = {
  ...{ model: "tests/fixtures/vit-rgb", data, adapter: "1lora", target: "all-linear" },
  ...{ steps: 4, batchSize: 4, lr: 1e-2, weightDecay: 0, schedule: "constant", warmup: 0, clip: 0, seed: 0 },
  ...{ shuffle: true, own: { augment: false }, strict: true, evalEvery: 2, checkpointEvery: 0 },
};

Deno.test("test data are read once, at the end, or not at all; the metrics are theirs", async () => {
  await useBackend("wasm");
  const plain = await imageClassification.openData(data, {});
  const read: number[] = [];
  const steps: number[] = [];
  const get = (index: number) => {
    read.push(index);
    return plain.test.get(index);
  };
  const counting: ImageSplits = { ...plain, test: { ...plain.test, get } };
  const surroundings = {
    reporter: silent,
    data: counting,
    observers: [{ onStep: () => void steps.push(read.length) }],
  };
  const result = await runTask(imageClassification, { ...run, validation: 5 }, surroundings);
  assertEquals(steps, [0, 0, 0, 0]);
  assertEquals(read.toSorted((a, b) => a - b), Array.from({ length: plain.test.size }, (_, i) => i));
  assertEquals([result.metrics.count, result.validation?.examples, result.validation?.metrics.count], [
    ...[plain.test.size, 5, 5],
  ]);
  assertEquals(result.best?.value !== undefined && result.untested, undefined);

  read.length = 0;
  const untested = await runTask(imageClassification, { ...run, validation: 5, testing: false }, surroundings);
  assertEquals([read.length, untested.untested], [0, true]);
  assertEquals(untested.metrics, result.validation?.metrics);
  // Another method and another seed are validated by the same pictures.
  const seen = (data: ImageSplits) => imageClassification.holdOut(data, 5).training.test.get(0);
  assertEquals(await seen(counting), await seen(plain));
});

Deno.test("what cannot be held out is refused by name", async () => {
  const refused = async (own: Partial<Run>, part: string) => {
    const error = await assertRejects(() => runTask(imageClassification, { ...run, ...own }, { reporter: silent }));
    assert(error instanceof OneloraError && error.exitCode === 2 && error.message.includes(part), `${error}`);
  };
  await refused({ validation: 10_000 }, "found 10000 of");
  await refused({ validation: 9, limit: 8 }, "at most 8");
  await refused({ testing: false }, "no `validation`");
});
