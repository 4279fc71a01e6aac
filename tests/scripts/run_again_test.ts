import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { engineKind } from "../../dsl/engine/mod.ts";
import { available } from "../support/available.ts";
import { failure, json, output, runTask, smallCifar } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** The smallest pictures: PPM is one header and its bytes. */
function picture(seed: number): Uint8Array {
  const pixels = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (i * 7 + seed * 31) % 256);
  return Uint8Array.of(...new TextEncoder().encode("P6\n8 8\n255\n"), ...pixels);
}

async function pictures(at: string): Promise<void> {
  for (const [part, count] of [["train", 4], ["test", 2]] as const) {
    for (const label of ["cat", "dog"]) {
      await Deno.mkdir(`${at}/${part}/${label}`, { recursive: true });
      for (let i = 0; i < count; i++) {
        await Deno.writeFile(`${at}/${part}/${label}/${i}.ppm`, picture(i + label.length));
      }
    }
  }
}

for (const backend of await available("wasm", "tensorflow")) {
  const precision = engineKind(backend).precisions.at(-1)!;
  Deno.test(`evaluate --run finds what training printed, in ${precision} (${backend})`, async () => {
    const data = await smallCifar(`${folder}/cifar-${backend}-${precision}`);
    const runs: Readonly<Record<string, readonly string[]>> = {
      pictures: ["--model", "tests/fixtures/vit-rgb", "--data", data, "--limit", "20"],
      text: ["--task", "reasoning", "--limit", "12", "--samples", "2", "--length", "64", "--seed", "3"],
      depth: ["--task", "depth", "--data", "scenes-driving", "--limit", "6", "--flip", "--samples", "0"],
      // What no adapter changes about an evaluation is no engine's affair.
      ...backend === "wasm"
        ? {
          unadapted: ["--task", "reasoning", "--limit", "12", "--samples", "2", "--length", "64", "--adapter", "none"],
        }
        : {},
    };
    await Promise.all(
      Object.entries(runs).map(async ([name, flags]) => {
        const run = `${folder}/${name}-${backend}-${precision}`;
        const shared = ["--steps", "3", "--batch-size", "4", "--lr", "0.01", "--schedule", "constant"];
        await output("train", ...shared, ...flags, "--precision", precision, "--backend", backend, "--out", run);
        const { metrics } = await json(`${run}/summary.json`);
        const found = JSON.parse(await output("evaluate", "--run", run, "--json"));
        for (const [metric, value] of Object.entries(metrics)) assertEquals(found[metric], value, `${name}: ${metric}`);
        if (backend === "wasm") {
          await output("train", "--config", `${run}/config.json`, "--out", `${run}-again`);
          for (const file of ["config.json", "adapter/adapter_model.safetensors"]) {
            if (name === "unadapted" && file.startsWith("adapter")) continue;
            const [first, second] = [run, `${run}-again`].map((each) => Deno.readFileSync(`${each}/${file}`));
            assertEquals(first, second, `${name}: ${file} of a run with its config.json given again`);
          }
        }
        if (precision !== "bf16") return;
        // The same adapter on weights that are not rounded is another model.
        const settings = await json(`${run}/config.json`);
        await Deno.writeTextFile(`${run}/config.json`, JSON.stringify({ ...settings, precision: "float32" }));
        const other = JSON.parse(await output("evaluate", "--run", run, "--json"));
        assert(Object.keys(metrics).some((metric) => other[metric] !== metrics[metric]), name);
      }),
    );
  });
}

Deno.test("a run goes on with the data it began with, and refuses other by what differs", async () => {
  const [data, run] = [`${folder}/data`, `${folder}/run`];
  await pictures(data);
  const flags = ["--model", "tests/fixtures/vit-rgb", "--backend", "wasm", "--batch-size", "4", "--augment", "false"];
  await output("train", ...flags, "--data", `images:${data}`, "--steps", "2", "--out", run);
  assertEquals((await json(`${run}/data.json`)).examples, { train: 8, test: 4 });
  const again = (steps: number) => failure("train", "--resume", run, "--steps", `${steps}`);
  const refused = async (...differences: readonly string[]) => {
    const [code, line] = await again(4);
    assertEquals(code, 1, line);
    assertStringIncludes(line, "has changed since the run began");
    for (const difference of differences) assertStringIncludes(line, difference);
  };

  // What is not data does not count.
  await Deno.writeTextFile(`${data}/.DS_Store`, "");
  await output("train", "--resume", run, "--steps", "3");

  await Deno.writeFile(`${data}/train/cat/9.ppm`, picture(9));
  await refused("9 train examples, not 8", "13 files, not 12");
  await Deno.remove(`${data}/train/cat/9.ppm`);

  await Deno.rename(`${data}/train/cat/3.ppm`, `${data}/train/cat/7.ppm`);
  await refused("files of other names");
  await Deno.rename(`${data}/train/cat/7.ppm`, `${data}/train/cat/3.ppm`);

  const bytes = await Deno.readFile(`${data}/train/cat/3.ppm`);
  await Deno.writeFile(`${data}/train/cat/3.ppm`, Uint8Array.of(...bytes, 0));
  await refused(`files of ${(12 * bytes.length + 1).toLocaleString("en-US")} bytes`);
  await Deno.writeFile(`${data}/train/cat/3.ppm`, bytes);

  for (const part of ["train", "test"]) await Deno.rename(`${data}/${part}/dog`, `${data}/${part}/bird`);
  await refused('no more class "dog"', 'new class "bird"');
  for (const part of ["train", "test"]) await Deno.rename(`${data}/${part}/bird`, `${data}/${part}/dog`);

  // Nothing was lost by all the refusals, and a run of before there were records says what it does not know.
  await Deno.remove(`${run}/data.json`);
  const { out } = await runTask("train", "--resume", run, "--steps", "4");
  assertStringIncludes(out, "note: no record of the data at the run's start");
  assertEquals((await json(`${run}/summary.json`)).steps, 4);
});

Deno.test("questions of another file are noticed", async () => {
  const [file, run] = [`${folder}/rows.jsonl`, `${folder}/questions`];
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) => JSON.stringify({ query: `q${i}`, response: `The answer is: ${i}` })).join(
      "\n",
    );
  await Deno.writeTextFile(file, rows(10));
  const flags = ["--task", "reasoning", "--backend", "wasm", "--batch-size", "4", "--samples", "1", "--length", "200"];
  await output("train", ...flags, "--data", `metamath:${file}`, "--steps", "1", "--out", run);
  await Deno.writeTextFile(file, rows(9));
  const [code, line] = await failure("train", "--resume", run, "--steps", "2");
  assertEquals(code, 1);
  assertStringIncludes(line, "9 worked examples, not 10");
});
