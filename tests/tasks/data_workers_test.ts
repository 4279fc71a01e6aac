import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import { useBackend } from "../../dsl/mod.ts";
import { evaluationTransform, trainingTransform } from "../../tasks/data/augment.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { type Batch, batches, type BatchOptions } from "../../tasks/data/loader.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { originOf, withOrigin } from "../../tasks/data/origin.ts";
import { type ExampleSource, threadCount } from "../../tasks/data/readers.ts";
import { stream } from "../../tasks/data/stream.ts";
import { holdThreads } from "../../tasks/data/threads.ts";
import { depthEvaluationTransform, depthTrainingTransform } from "../../tasks/depth/augment.ts";
import type { DepthDataset } from "../../tasks/depth/dataset.ts";
import { depthBatches } from "../../tasks/depth/loader.ts";
import { openDepthData } from "../../tasks/depth/open.ts";
import { sceneSplits } from "../../tasks/depth/scenes.ts";
import { encodeLatents, latentKey, openLatents } from "../../tasks/generation/latents.ts";
import { generationTransform } from "../../tasks/generation/preprocess.ts";
import { withFolder } from "../support/data_folder.ts";

const fixtures = fileOf(new URL("../fixtures/", import.meta.url));
const input = { size: 5, channels: 3, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] };

/** What a stream gives and tells, or how it ends. */
async function told<Group>(
  groups: (listening: Pick<BatchOptions, "workers" | "onSkip" | "onTotal">) => AsyncGenerator<Group, void, void>,
  workers: number,
): Promise<readonly unknown[]> {
  const out: unknown[] = [];
  const onSkip = (line: string) => out.push(line);
  try {
    for await (const group of groups({ workers, onSkip, onTotal: onSkip })) out.push(group);
  } catch (error) {
    assert(error instanceof OneloraError, String(error));
    out.push([error.message, error.exitCode, error.problem]);
  }
  return out;
}

/** The same with no, one and two other threads; what that is. */
async function same<Group>(
  groups: (listening: Pick<BatchOptions, "workers" | "onSkip" | "onTotal">) => AsyncGenerator<Group, void, void>,
): Promise<readonly unknown[]> {
  const here = await told(groups, 0);
  for (const workers of [1, 2]) assertEquals(await told(groups, workers), here);
  return here;
}

/** Grey ramps in memory; one of them cannot be read. */
const ramps: ImageDataset = {
  name: "ramps",
  size: 9,
  classes: ["a", "b"],
  get: (index) => {
    if (index === 4) throw new OneloraError({ attempted: "reading 4", found: "nothing", allowed: "a ramp" });
    // A view of more: only the image itself may move to another thread.
    const pixels = Uint8Array.from({ length: 200 }, (_, i) => (3 * i * index) % 256).subarray(8, 8 + 64);
    return { pixels, height: 8, width: 8, channels: 1, label: index % 2 };
  },
};

Deno.test("images in memory, augmented: the same batches, skips and totals with other threads", async () => {
  const transform = trainingTransform(input);
  const seen = await same((listening) =>
    batches({ dataset: ramps, transform, batchSize: 4, seed: 5, epochs: 2, ...listening })
  );
  assertEquals(seen.filter((each) => typeof each === "string").length, 4);
  assertEquals(
    seen.filter((each) => typeof each === "string" && each.startsWith("1 of 9 examples of ramps")).length,
    2,
  );
  const strict = await same((listening) =>
    batches({ dataset: ramps, transform, batchSize: 2, seed: 5, shuffle: false, strict: true, ...listening })
  );
  assertEquals([strict.length, (strict[2] as unknown[]).slice(0, 2)], [3, [
    "reading 4: found nothing; allowed: a ramp",
    1,
  ]]);
});

Deno.test("resuming at any batch's next continues exactly with other threads, too", async () => {
  const options = { dataset: ramps, transform: trainingTransform(input), batchSize: 4, seed: 5, epochs: 2 };
  const whole = await Array.fromAsync(batches({ ...options, workers: 0 }));
  for (let i = 0; i < whole.length; i++) {
    const rest = await Array.fromAsync(batches({ ...options, workers: 2, start: whole[i].next }));
    assertEquals(rest, whole.slice(i + 1));
  }
});

Deno.test("files, opened by every thread: folders, Parquet with rows that cannot be used, Food-101", async () => {
  for (const [spec, skipped] of [["parquet:image-files/faults", 5], ["parquet:image-files/hub", 0]] as const) {
    const { train: dataset } = await openImageData(spec.replace(":", `:${fixtures}`));
    const transform = trainingTransform(input);
    const seen = await same((listening) => batches({ dataset, transform, batchSize: 3, seed: 1, ...listening }));
    assertEquals(seen.filter((each) => typeof each === "string" && each.startsWith("reading")).length, skipped && 3);
  }
  const picture = await Deno.readFile(`${fixtures}depth-files/picture.png`);
  await withFolder(
    { "a/1.png": picture, "a/2.png": "noise", "a/3.png": picture, "b/1.png": picture },
    async (folder) => {
      const { train: dataset } = await openImageData(`images:${folder}`);
      const transform = generationTransform({ size: 4, channels: 3 });
      await same((listening) => batches({ dataset, transform, batchSize: 2, seed: 1, epochs: 2, ...listening }));
    },
  );
  const { train: dataset } = await openImageData(`food101:${fixtures}image-files`);
  const transform = evaluationTransform(input);
  assertEquals(
    (await same((listening) => batches({ dataset, transform, batchSize: 3, seed: 1, ...listening }))).length,
    1,
  );
});

Deno.test("depth: rendered scenes and NYU's file, augmented", async () => {
  const transform = depthTrainingTransform({ height: 14, width: 14, mean: [0, 0, 0], std: [1, 1, 1] });
  const scenes = sceneSplits("driving", { height: 14, width: 21, train: 5, test: 1 });
  const twice = { dataset: scenes.train, batchSize: 2, seed: 3, epochs: 2 };
  await same((listening) => depthBatches({ ...twice, transform, ...listening }));
  // Nothing varies: a sample's depth is the very array that the data set keeps.
  const still = depthEvaluationTransform({ height: 14, width: 14, mean: [0, 0, 0], std: [1, 1, 1] });
  assertEquals((await same((listening) => depthBatches({ ...twice, transform: still, ...listening }))).length, 6);
  const { train: dataset } = await openDepthData(`nyu:${fixtures}depth-files/nyu.mat`);
  await same((listening) => depthBatches({ dataset, transform, batchSize: 4, seed: 3, ...listening }));
  // A copy that does something else is not opened as what it was made from.
  const brighter: DepthDataset = {
    ...scenes.train,
    get: async (index) => {
      const example = await scenes.train.get(index);
      return { ...example, pixels: example.pixels.map((value) => Math.min(255, value + 50)) };
    },
  };
  await same((listening) => depthBatches({ dataset: brighter, transform, batchSize: 4, seed: 3, ...listening }));
});

Deno.test("latents, sampled in other threads", async () => {
  await useBackend("cpu");
  await withFolder({}, async (folder) => {
    const path = `${folder}/latents.safetensors`;
    const totals: string[] = [];
    const encoding = {
      dataset: ramps,
      size: 8,
      channels: 1,
      encoder: "itself",
      onTotal: (line: string) => totals.push(line),
      encode: (pixels: tf.Tensor) => [pixels.clone(), tf.fill(pixels.shape, -3)] as const,
    };
    await encodeLatents(path, encoding);
    assertEquals(totals, ["1 of 9 examples of ramps left out"]);
    await using source = await openLatents(path, await latentKey(encoding));
    const seen = await same((listening) => stream(source, { batchSize: 4, seed: 2, ...listening }));
    assertEquals(seen.length, 5);
  });
});

Deno.test("threads end with the stream: broken off, thrown at, or never begun", async () => {
  const { train: dataset } = await openImageData(`food101:${fixtures}image-files`);
  const options = { dataset, transform: trainingTransform(input), batchSize: 1, seed: 1, epochs: Infinity, workers: 2 };
  for await (const { position } of batches(options)) if (position.epoch === 3) break;
  await assertRejects(async () => {
    for await (const _ of batches(options)) throw new TypeError("the consumer's own");
  }, TypeError);
  await batches(options).return();
});

Deno.test("a thread that cannot open its data fails the stream in one line", async () => {
  const { train } = await openImageData(`food101:${fixtures}image-files`);
  const get = (index: number) => train.get(index);
  const dataset = { ...train, get: withOrigin(get, { ...originOf(train.get)!, arguments: ["/no/such/folder"] }) };
  const options = { dataset, transform: evaluationTransform(input), batchSize: 1, seed: 1, workers: 2 };
  await assertRejects(() => batches(options).next(), OneloraError, "listing /no/such/folder");
  assertEquals((await Array.fromAsync(batches({ ...options, workers: 0 }))).length, 3);
});

/** A source whose other threads run a module of one function. */
function scripted(body: string): ExampleSource<number> {
  const module = `data:text/javascript,export function make() { ${body} }`;
  return {
    name: "script",
    size: 4,
    get: (i) => i,
    portable: { origin: { module, name: "make", arguments: [] }, heavy: true },
  };
}

Deno.test("faults of the program in another thread pass through by name; threads that die say so", async () => {
  const first = (source: ExampleSource<number>) => stream(source, { batchSize: 2, seed: 0, workers: 1 }).next();
  const { value } = await first(scripted("return (i) => i"));
  assertEquals(value?.items.length, 2);
  const bug = await assertRejects(
    () => first(scripted("return () => { throw new RangeError('a bug') }")),
    Error,
    "a bug",
  );
  assertEquals(bug.name, "RangeError");
  await assertRejects(
    () => first(scripted("setTimeout(() => { throw new Error('dead') }); return () => new Promise(() => {})")),
    OneloraError,
    "preparing examples of script in another thread: found",
  );
  await assertRejects(() => first(scripted("return () => () => 1")), Error, "could not be cloned");
});

Deno.test("who holds threads has the same ones again, with what they have opened; broken ones are not kept", async () => {
  const counting = scripted("self.opened = (self.opened ?? 0) + 1; const mine = self.opened; return () => mine");
  const failing = scripted("setTimeout(() => { throw new Error('dead') }); return () => new Promise(() => {})");
  const numbers = async (source: ExampleSource<number>) =>
    (await Array.fromAsync(stream(source, { batchSize: 2, seed: 0, workers: 1 }))).flatMap(({ items }) => items);
  const other = {
    ...counting,
    portable: { ...counting.portable!, origin: { ...counting.portable!.origin, part: "call" } },
  };
  {
    using _outer = holdThreads();
    {
      using _inner = holdThreads();
      assertEquals(await numbers(counting), [1, 1, 1, 1]);
    }
    // Opened once; another source of the same thread counts on.
    assertEquals(await numbers(counting), [1, 1, 1, 1]);
    await assertRejects(() => numbers(other), Error, "not a function");
    await assertRejects(() => numbers(failing), OneloraError, "in another thread: found");
    assertEquals(await numbers(counting), [1, 1, 1, 1]);
  }
  assertEquals(await numbers(counting), [1, 1, 1, 1]);
});

Deno.test("evaluations without number start no more threads than one", async () => {
  const { train: dataset } = await openImageData(`food101:${fixtures}image-files`);
  const options = { dataset, transform: evaluationTransform(input), batchSize: 3, seed: 1, workers: 2 };
  const Original = globalThis.Worker;
  let started = 0;
  globalThis.Worker = class extends Original {
    constructor(...args: ConstructorParameters<typeof Original>) {
      super(...args);
      started++;
    }
  };
  try {
    using _threads = holdThreads();
    for (let i = 0; i < 100; i++) await Array.fromAsync(batches(options));
    assertEquals(started, 2);
  } finally {
    globalThis.Worker = Original;
  }
});

Deno.test("threads by default: for files and augmentation, not for small images at hand; never more than asked", () => {
  const source = (heavy: boolean): ExampleSource<number> => ({
    ...scripted(""),
    portable: { ...scripted("").portable!, heavy },
  });
  const most = Math.min(4, navigator.hardwareConcurrency - 1);
  assertEquals([threadCount(source(true)), threadCount(source(false))], [most, 0]);
  assertEquals([threadCount(source(true), 0), threadCount(source(false), 3)], [0, 3]);
  assertEquals(threadCount({ name: "here", size: 1, get: (i) => i }, 3), 0);
});

Deno.test("a number of threads that makes no sense is refused", async () => {
  const options = { dataset: ramps, transform: evaluationTransform(input), batchSize: 1, seed: 1 };
  for (const workers of [-1, 1.5, 1000]) {
    await assertRejects(
      (): Promise<IteratorResult<Batch, void>> => batches({ ...options, workers }).next(),
      OneloraError,
      "workers",
    );
  }
});
