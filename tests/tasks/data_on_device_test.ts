/**
 * Data sets that stay on the device: a run's losses and parameters are those of one that is sent every batch, byte by byte.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { startResident } from "../../dsl/compile/mod.ts";
import { init, key, lookUpBytes, useBackend } from "../../dsl/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { ditFamily } from "../../models/dit/dit.ts";
import { writeDitConfig } from "../../models/dit/config.ts";
import { ditPresets, openModel, saveModel } from "../../models/mod.ts";
import { taskKind } from "../../tasks/kinds.ts";
import { sceneSplits } from "../../tasks/mod.ts";
import { holdExamples } from "../../tasks/data/held.ts";
import { stream } from "../../tasks/data/stream.ts";
import { runTask } from "../../tasks/trainer/run.ts";
import { resolveRun } from "../../tasks/trainer/settings.ts";
import { silent } from "../../tasks/trainer/observe.ts";
import { rowsTask, staysOnDevice } from "../../tasks/trainer/on_device.ts";
import { available } from "../support/available.ts";
import { smallCifar } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";

const backends = await available("wasm", "tensorflow");
const folder = await Deno.makeTempDir();
const cifar = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** A random model of colour pictures in the data's classes. */
async function generator(): Promise<string> {
  const small = { hidden: 32, heads: 2, layers: 1, sample: 8, patch: 4, channels: 3, outChannels: 6 };
  const config = { ...ditPresets["dit-micro"], ...small };
  const described = ditFamily.read(writeDitConfig(config), {});
  const params = init(described.layer, key(1));
  await saveModel(described, params, `${folder}/dit`);
  tf.dispose(Object.values(params));
  return `${folder}/dit`;
}

const depth = sceneSplits("indoor", { height: 56, width: 28, train: 8, test: 2 });

/** Tasks whose examples can stay: eight of them in batches of 3, some in two parts; the last of an epoch is smaller. */
const jobs = async (): Promise<readonly (readonly [task: string, model: string, given: object, data?: unknown])[]> => [
  ["image-classification", "vit-micro", { augment: false }],
  ["image-classification", "vit-micro", { augment: false, accumulate: 2 }],
  ["generation", await generator(), { augment: true }],
  ["generation", `${folder}/dit`, { augment: false, accumulate: 2 }],
  ["depth", "dpt-micro", { augment: false, accumulate: 2 }, depth],
];

/** Settings of a run. */
function settings(task: string, model: string, given: object) {
  const own = task === "image-classification" ? {} : { samples: 0 };
  return resolveRun(taskKind(task), model, cifar, { batchSize: 3, limit: 8, ...own, ...given });
}

/** The losses of the first parts of a task's steps, and how many of them took their examples from those that stay. */
async function firstLosses(...[task, model, given, data]: Awaited<ReturnType<typeof jobs>>[number]) {
  const kind = taskKind(task);
  const run = settings(task, model, given);
  const opened = { model: await openModel(model), data: data ?? await kind.openData(run.data, run) };
  const prepared = await kind.open(run, opened, silent);
  const { objective } = rowsTask(prepared);
  const params = init(prepared.layer, key(3));
  const losses: number[] = [];
  let stayed = 0;
  const batches = prepared.training.batches({ epoch: 0, offset: 0 });
  try {
    for (let step = 0; step < 4; step++) {
      for (const { tensors, staying } of (await batches.next()).value!.parts) {
        if (staying !== undefined) stayed++;
        const own = tensors();
        losses.push(tf.tidy(() => objective(params, { ...own, ...staying }).loss.dataSync()[0]));
        tf.dispose(own);
      }
    }
  } finally {
    await batches.return();
    await prepared.close?.();
    tf.dispose(params);
  }
  return { losses, stayed };
}

Deno.test("examples that stay on the device have the losses of those that are sent, bit by bit, in every task", async () => {
  await useBackend("wasm");
  for (const job of await jobs()) {
    const [task, model, given, data] = job;
    const sent = await firstLosses(task, model, { ...given, dataOnDevice: "no" }, data);
    await withoutLeaks(async () => {
      const kept = await firstLosses(task, model, { ...given, dataOnDevice: "yes" }, data);
      assertEquals(kept.losses, sent.losses, `${task} ${JSON.stringify(given)}`);
      // Parts of an odd size are sent.
      assert(kept.stayed > kept.losses.length / 3 && kept.stayed < kept.losses.length);
    });
    assertEquals(sent.stayed, 0);
    assert(new Set(sent.losses).size > 3);
  }
});

/** Losses and trained numbers of a run of classification. */
async function trained(given: object) {
  const [losses, params]: [number[], Record<string, Float32Array>] = [[], {}];
  const reporter = { ...silent, progress: (_: number, { loss }: { readonly loss: number }) => void losses.push(loss) };
  const kind = taskKind("image-classification");
  const run = settings("image-classification", "vit-micro", {
    augment: false,
    steps: 4,
    lr: 1e-2,
    validation: 2,
    ...given,
  });
  await runTask(kind, { ...run, testing: false }, {
    reporter,
    save: async ({ params: all }) => {
      for (const [path, tensor] of Object.entries(all)) params[path] = await tensor.data() as Float32Array;
    },
  });
  return { losses, params };
}

for (const backend of backends) {
  Deno.test(`a run on ${backend} comes to the same bytes with examples that stay`, async () => {
    await useBackend(backend);
    const sent = await trained({ dataOnDevice: "no" });
    await withoutLeaks(async () => assertEquals(await trained({ dataOnDevice: "yes" }), sent));
    assertEquals(sent.losses.length, 4);
  });
}

Deno.test({
  name: "what stays is sent to a card once, as words, and a step takes its rows there",
  ignore: !backends.includes("tensorflow"),
  fn: async () => {
    await useBackend("tensorflow");
    const words = Int32Array.from({ length: 40 * 3 * 4 * 64 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
    const truth = Float32Array.from({ length: 40 * 512 }, (_, i) => i / 7);
    const raw = new Uint8Array(words.buffer);
    const table = Float32Array.from({ length: 3 * 256 }, (_, i) => Math.sin(i) / 3);
    for (const graph of ["whole", "clusters"] as const) {
      const resident = startResident(
        ({ frozen, optimiser }, { rows, ...batch }) => {
          const of = (name: string) => tf.gather(batch[`all/${name}`], rows as tf.Tensor1D);
          const trained = { seen: lookUpBytes(of("words"), batch.table), truth: of("truth") };
          return [{ frozen, trained, optimiser }, { loss: tf.sum(trained.truth) as tf.Scalar }];
        },
        { frozen: {}, trained: { seen: tf.zeros([2, 3, 4, 256]), truth: tf.zeros([2, 512]) }, optimiser: {} },
        { graph, feed: "words", onFallback: (line) => assert(false, line) },
      );
      const staying = {
        "all/words": tf.tensor(words, [40, 3, 4, 64], "int32"),
        "all/truth": tf.tensor(truth, [40, 512]),
      };
      for (const rows of [[3, 39], [0, 7]]) {
        const batch = { rows: tf.tensor1d(rows, "int32"), table: tf.tensor2d(table, [3, 256]) };
        await resident.step(batch, staying);
        const { trained } = resident.read();
        const expected = rows.flatMap((row) =>
          Array.from(
            raw.subarray(row * 3072, (row + 1) * 3072),
            (byte, i) => table[256 * Math.floor(i / 1024) + byte],
          )
        );
        assertEquals(trained.seen.dataSync(), Float32Array.from(expected), graph);
        assertEquals(
          trained.truth.dataSync(),
          Float32Array.from(rows.flatMap((row) => [...truth.subarray(row * 512, (row + 1) * 512)])),
        );
        tf.dispose([batch, trained]);
        // It is there: nothing but its identity is asked for again.
        if (rows[0] === 3) { for (const tensor of Object.values(staying)) sendNothing(tensor); }
      }
      resident.dispose();
      tf.dispose(staying);
    }
  },
});

/** Takes a tensor's numbers away from whoever would send them again. */
function sendNothing({ dataId }: tf.Tensor): void {
  const { tensorMap } = tf.backend() as unknown as {
    readonly tensorMap: tf.DataStorage<{ values: unknown; id: number }>;
  };
  const data = tensorMap.get(dataId);
  tensorMap.set(dataId, { ...data, values: data.values === null ? null : (data.values as Int32Array).slice().fill(0) });
}

Deno.test("data stay where it pays, or where it is asked for and can be", () => {
  const run = { batchSize: 10, epochs: 3 };
  const data = { examples: 1000, bytes: 1e6 };
  // On a CPU nothing is sent.
  assertEquals(
    [undefined, "auto", "no", "yes"].map((dataOnDevice) =>
      staysOnDevice({ ...run, dataOnDevice: dataOnDevice as "yes" }, data, 1e9)
    ),
    [false, false, false, true],
  );
  const refused = (found: string, ...[data, room]: [Parameters<typeof staysOnDevice>[1], number]) => {
    const error = assertThrows(() => staysOnDevice({ ...run, dataOnDevice: "yes" }, data, room), OneloraError, found);
    assertEquals(error.exitCode, 2);
    assert(!staysOnDevice({ ...run, dataOnDevice: "auto" }, data, room));
  };
  refused("1.00 GB of examples and 0.500 GB of memory", { examples: 9, bytes: 1e9 }, 5e8);
  refused("more than a tensor can number", { examples: 9, bytes: 1e10 }, 1e11);
  refused("texts", "texts: some kilobytes", 1e11);
});

Deno.test("what cannot stay is refused by name", async () => {
  await useBackend("wasm");
  const refused = async (task: string, model: string, data: string, given: object, found: string) => {
    const kind = taskKind(task);
    const run = resolveRun(kind, model, data, { ...given, dataOnDevice: "yes" });
    const opened = { model: await openModel(model), data: await kind.openData(data, run) };
    const error = await assertRejects(() => kind.open(run, opened, silent), OneloraError, found);
    assertEquals(error.exitCode, 2);
  };
  await refused("image-classification", "vit-micro", cifar, { augment: true }, "cropped and mirrored anew");
  await refused("reasoning", "llama-micro", "word-problems-b", {}, "some kilobytes");
  await refused("depth", "dpt-micro", "scenes-indoor", { augment: true }, "turned, mirrored and coloured anew");
});

Deno.test("examples that could not be read when all were stay out, and are told of in every pass", async () => {
  await useBackend("cpu");
  const fault = () => new OneloraError({ attempted: "reading 1", found: "nothing", allowed: "something" });
  const source = {
    name: "three",
    size: 3,
    get: (index: number) => {
      if (index === 1) throw fault();
      return Float32Array.of(index, 10 * index);
    },
  };
  const skipped: string[] = [];
  using held = await holdExamples(
    source,
    { pair: { shape: [2], dtype: "float32" } },
    (pair) => ({ values: { pair }, rest: pair[1] }),
    { seed: 0, shuffle: false, batchSize: 3 },
  );
  const how = { batchSize: 3, seed: 0, shuffle: false, epochs: 2, onSkip: (line: string) => void skipped.push(line) };
  for await (const { items, indices } of stream(held.source, how)) {
    assertEquals([[...indices], items.map(({ rest }) => rest)], [[0, 2], [0, 20]]);
    const { tensors, staying } = held.tensorsOf([...items, items[0]]);
    const { rows } = tensors();
    assertEquals([...tf.gather(staying!["all/pair"], rows as tf.Tensor1D).dataSync()], [0, 0, 2, 20, 0, 0]);
    assertEquals([...held.tensorsOf(items).tensors().pair.dataSync()], [0, 0, 2, 20]);
  }
  assertEquals(skipped, [fault().message, fault().message]);
  const uneven = { ...source, size: 2, get: (index: number) => new Float32Array(2 + index) };
  await assertRejects(
    () =>
      holdExamples(uneven, { pair: { shape: [2], dtype: "float32" } }, (pair) => ({ values: { pair }, rest: 0 }), how),
    OneloraError,
    "examples of 2 and of 3 values",
  );
});
