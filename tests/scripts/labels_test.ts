import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { openSafetensors } from "../../dsl/mod.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { failure, output } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const model = "tests/fixtures/vit-rgb";
const wasm = ["--backend", "wasm"];
const sharp = await loadSharp();

/** A picture of one colour. */
async function write(path: string, colour: readonly number[]): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  const pixels = Uint8Array.from({ length: 3 * 64 }, (_, i) => colour[i % 3]);
  const { data } = await sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } }).png()
    .toBuffer({ resolveWithObject: true });
  await Deno.writeFile(path, data);
}

/** The fixture's model with other names of its five classes. */
async function named(path: string, names: readonly string[], more: Record<string, unknown> = {}): Promise<string> {
  await Deno.mkdir(path, { recursive: true });
  await Deno.copyFile(`${model}/model.safetensors`, `${path}/model.safetensors`);
  const config = JSON.parse(await Deno.readTextFile(`${model}/config.json`));
  const id2label = Object.fromEntries(names.map((name, i) => [i, name]));
  const label2id = Object.fromEntries(names.map((name, i) => [name, i]));
  await Deno.writeTextFile(`${path}/config.json`, JSON.stringify({ ...config, id2label, label2id, ...more }));
  return path;
}

const NAMES = ["red", "green", "blue", "grey", "white"];
const COLOURS = [[250, 10, 10], [10, 250, 10], [10, 10, 250], [120, 120, 120], [250, 250, 250]];

/** Pictures of five colours in class folders. */
async function colours(path: string, names: readonly string[] = NAMES): Promise<string> {
  for (const part of ["train", "test"]) {
    for (const [i, name] of names.entries()) {
      for (const n of [0, 1]) await write(`${path}/${part}/${name}/${n}.png`, COLOURS[i].map((value) => value + n));
    }
  }
  return `images:${path}`;
}

Deno.test("a model is judged by the names of its classes, whatever their order; strange ones are refused by name", async () => {
  const scores = async (names: readonly string[], folders: readonly string[]) => {
    const [at, data] = [`${folder}/${names.join("-")}`, await colours(`${folder}/data-${folders.join("-")}`, folders)];
    return JSON.parse(await output("evaluate", "--model", await named(at, names), "--data", data, "--json", ...wasm));
  };
  const plain = await scores(NAMES, NAMES);
  // The same questions and answers by other names, so that folders come in another order than classes.
  const others = await scores(["white", "Grey Blue", "red", "blue", "z, a"], [
    "white",
    "grey_blue",
    "red",
    "blue",
    "a",
  ]);
  assertEquals([others.confusion, others.accuracy], [plain.confusion, plain.accuracy]);
  assertAlmostEquals(others.loss, plain.loss, 1e-6);
  const data = `images:${folder}/data-${NAMES.join("-")}`;
  const refused = async (found: string, at: string) => {
    const [code, line] = await failure("evaluate", "--model", at, "--data", data, ...wasm);
    assertEquals(code, 1);
    assertStringIncludes(line, found);
  };
  const strange = await named(`${folder}/strange`, ["red", "green", "blue", "grey", "black"]);
  await refused("by the name of white; allowed: its own, by name: red, green, blue, grey, black", strange);
  await refused('"problem_type": "regression"', await named(`${folder}/value`, NAMES, { problem_type: "regression" }));
});

Deno.test("training keeps a head for the same classes, in its own order, and says what it does not keep", async () => {
  const data = await colours(`${folder}/data-${NAMES.join("-")}`);
  const at = await named(`${folder}/model`, NAMES);
  const train = async (out: string, from: string, ...more: string[]) =>
    await output(
      "train",
      "--model",
      from,
      "--data",
      data,
      "--adapter",
      "head",
      "--steps",
      "1",
      "--lr",
      "1e-12",
      ...more,
      "--out",
      `${folder}/${out}`,
      ...wasm,
    );
  const said = await train("kept", at);
  assert(!said.includes("is not kept"), said);
  await using before = await openSafetensors(`${model}/model.safetensors`);
  await using after = await openSafetensors(`${folder}/kept/adapter/adapter_model.safetensors`);
  const bias = after.names.find((name) => name.endsWith("classifier.bias"))!;
  const [kept, published] = [(await after.read(bias)).data, (await before.read("classifier.bias")).data];
  published.forEach((value, i) => assertAlmostEquals(Number(kept[i]), Number(value), 1e-9));
  const { metrics } = JSON.parse(await Deno.readTextFile(`${folder}/kept/summary.json`));
  assertEquals(
    JSON.parse(await output("evaluate", "--model", at, "--data", data, "--json", ...wasm)).accuracy,
    metrics.accuracy,
  );
  const fresh = await train("fresh", await named(`${folder}/other`, ["a", "b", "c", "d", "e"]));
  assertStringIncludes(
    fresh,
    "for 5 classes (a, b, c, d, e) is not kept: the data has 5 classes (blue, green, grey, red, white)",
  );
});

Deno.test("several labels a picture: trained, judged, merged and predicted as such", async () => {
  const rows = (count: number) =>
    Array.from(
      { length: count },
      (_, i) => ({ file_name: `${i}.png`, labels: ["warm", "bright"].filter((_, bit) => i >> bit & 1) }),
    );
  for (const [part, count] of [["train", 16], ["test", 8]] as const) {
    for (const { file_name, labels } of rows(count)) {
      const [red, others] = [labels.includes("warm") ? 240 : 20, labels.includes("bright") ? 240 : 20];
      await write(`${folder}/several/${part}/${file_name}`, [red, others, others]);
    }
    const lines = rows(count).map((row) => JSON.stringify(row)).join("\n");
    await Deno.writeTextFile(`${folder}/several/${part}/metadata.jsonl`, lines);
  }
  const [data, run] = [`images:${folder}/several`, `${folder}/several-run`];
  const settings = ["--steps", "60", "--batch-size", "16", "--lr", "0.02", "--augment", "false", ...wasm];
  const said = await output(
    "train",
    "--model",
    model,
    "--data",
    data,
    "--adapter",
    "1lora",
    ...settings,
    "--accumulate",
    "3",
    "--out",
    run,
  );
  assertStringIncludes(said, "multi_label_classification");
  const { metrics, deciding } = JSON.parse(await Deno.readTextFile(`${run}/summary.json`));
  assertEquals(deciding, { metric: "map", better: "higher" });
  assertEquals([metrics.map, metrics.exact, metrics.count], [1, 1, 8]);
  const { labels, ...scalars } = JSON.parse(await output("evaluate", "--run", run, "--json"));
  assertEquals(scalars, metrics);
  assertEquals(labels.map(({ label, support }: { label: string; support: number }) => [label, support]), [
    ["bright", 4],
    ["warm", 4],
  ]);
  await output("merge", "--model", model, "--adapter", `${run}/adapter`, "--out", `${folder}/merged`);
  const config = JSON.parse(await Deno.readTextFile(`${folder}/merged/config.json`));
  assertEquals([config.problem_type, config.id2label], ["multi_label_classification", { "0": "bright", "1": "warm" }]);
  const image = `${folder}/several/test/3.png`;
  const predicted = await output("predict", "--model", `${folder}/merged`, "--image", image, "--json", ...wasm);
  for (const { probability } of JSON.parse(predicted).classes) assert(probability > 0.5, predicted);
  assertStringIncludes(
    await output("evaluate", "--model", `${folder}/merged`, "--data", data, ...wasm),
    "mAP 100.00 %",
  );
  // A model of one label a picture is not judged by several.
  const one = await named(`${folder}/one`, NAMES);
  const [code, line] = await failure("evaluate", "--model", one, "--data", data, ...wasm);
  assertEquals(code, 1);
  assertStringIncludes(line, "found several labels a picture");
});
