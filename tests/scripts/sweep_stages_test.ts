import { assert, assertEquals, assertMatch, assertStringIncludes, equal } from "@std/assert";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { key, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { experiments, microSize } from "../../scripts/commands/sweep/paper.ts";
import { compressionTables, paperTables } from "../../scripts/commands/sweep/paper_tables.ts";
import { failure, json, runTask } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** The numbers of a model's weights. */
async function weightsOf(model: string): Promise<Readonly<Record<string, Float32Array>>> {
  await useBackend("cpu");
  const { params } = await loadParams(await openModel(model), key(0));
  const numbers = Object.entries(params).map(([path, tensor]) => [path, tensor.dataSync<"float32">().slice()]);
  dispose(params as Record<string, Tensor>);
  return Object.fromEntries(numbers);
}

const small = ["--steps", "2", "--limit", "4", "--batch-size", "2", "--seeds", "0", "--backend", "wasm"];

Deno.test("tables of two stages differ in micro size, and Table S1 has its four transfers", () => {
  const depth = Object.entries({ ...paperTables, ...compressionTables }).filter(([, { experiment }]) =>
    experiments[experiment].settings.task === "depth"
  );
  const pairs = depth.map(([name]) => {
    const { first, settings } = microSize(name);
    return `${name}: ${first} -> ${settings.data}`;
  });
  assertEquals(pairs, [
    "S2: scenes-driving -> scenes-indoor",
    "S3: scenes-indoor -> scenes-driving",
    "S4: scenes-driving -> scenes-outdoor",
    "S5: scenes-indoor -> scenes-outdoor",
    "S11: scenes-indoor -> scenes-driving",
    "S1-NYU-KITTI: scenes-indoor -> scenes-driving",
    "S1-KITTI-NYU: scenes-driving -> scenes-indoor",
    "S1-KITTI-DIODE: scenes-driving -> scenes-outdoor",
    "S1-NYU-DIODE: scenes-indoor -> scenes-outdoor",
  ]);
});

Deno.test("the first data set is learned once, and the methods start from what came of it", async () => {
  const out = `${folder}/s2`;
  const sweep = ["--paper", "S2", "--micro", ...small, "--out", out];
  const first = await runTask("sweep", ...sweep, "--adapters", "1lora");
  assertEquals(first.code, 0, first.err);
  assertStringIncludes(first.out, "scenes-driving to scenes-indoor");
  const learned = await json(`${out}/first/scenes-driving/run/config.json`);
  assertEquals([learned.data, learned.adapter, learned.lr, learned.model], [
    ...["scenes-driving", "all", 0.001, "dpt-micro"],
  ]);
  const own = await json(`${out}/1lora-seed0/config.json`);
  assertEquals([own.model, own.data], [`${out}/first/scenes-driving/model`, "scenes-indoor"]);
  // The recipe is that of the preset, not of a folder.
  assertEquals([own.schedule, own.lr, own.clip], ["one-cycle", 0.05, 1]);

  const weights = `${out}/first/scenes-driving/model/model.safetensors`;
  const { mtime } = await Deno.stat(weights);
  const again = await runTask("sweep", ...sweep, "--adapters", "1lora,bitfit");
  assertEquals(again.code, 0, again.err);
  assertMatch(again.err, /1lora seed 0 .*\(earlier\)/);
  assertEquals((await Deno.stat(weights)).mtime, mtime);
  // A worker waits for the one that learns the first data set, and needs it no more once it is learned.
  const worker = await runTask("sweep", ...sweep, "--adapters", "1lora,vera", "--part", "1/2");
  assertEquals(worker.code, 0, worker.err);
  assertMatch(worker.err, /^vera seed 0 [^]*part 1\/2: 0 to be done/m);
  assertEquals((await Deno.stat(weights)).mtime, mtime);
  // What the first stage made is not what it began with.
  const [published, moved] = await Promise.all(["dpt-micro", `${out}/first/scenes-driving/model`].map(weightsOf));
  assertEquals(Object.keys(moved), Object.keys(published));
  assert(Object.keys(moved).some((path) => !equal(moved[path], published[path])));

  const [code, line] = await failure("sweep", ...sweep, "--first-data", "scenes-outdoor");
  assertEquals(code, 2);
  assertStringIncludes(line, "--first-data scenes-outdoor where it was scenes-driving");
});

Deno.test("Table S1 names the data that it lacks", async () => {
  const data = ["--data", "kitti:DIR,nyu:DIR", "--model", "dpt-micro"];
  const [code, line] = await failure("sweep", "--paper", "S1", ...data, "--out", `${folder}/s1`);
  assertEquals(code, 2);
  assertStringIncludes(line, "no diode-outdoor:DIR in --data");
});
