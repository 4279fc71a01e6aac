import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { joinMethods } from "../../adapters/spec.ts";
import { type Model, openModel, presetNames } from "../../models/mod.ts";
import { taskKind } from "../../tasks/mod.ts";
import { readOptions } from "../../scripts/cli/mod.ts";
import { trainFlags } from "../../scripts/cli/options.ts";
import { paperNote } from "../../scripts/commands/params/paper.ts";
import {
  experiments,
  fullSize,
  microSize,
  paperColumns,
  paperLabel,
  paperList,
  paperNotes,
} from "../../scripts/commands/sweep/paper.ts";
import { sweepFlags } from "../../scripts/commands/sweep/options.ts";
import { paperTables } from "../../scripts/commands/sweep/paper_tables.ts";
import { placed, planCells, readMethods } from "../../scripts/commands/sweep/plan.ts";
import { output, smallCifar } from "../support/command.ts";

const tables = Object.entries(paperTables);

/** A count as the tables print it. */
function printed(count: number): string {
  return count >= 1e6 ? `${(count / 1e6).toFixed(2)}M` : `${(count / 1e3).toFixed(2)}K`;
}

Deno.test("the tables are S2 to S12, and every method in them is one of ours", () => {
  assertEquals(tables.map(([name]) => name), Array.from({ length: 11 }, (_, i) => `S${i + 2}`));
  for (const [, { rows }] of tables) {
    const methods = rows.map(({ method }) => method);
    assertEquals(readMethods(methods.join(",")), methods);
  }
});

Deno.test("our counts are those that the tables print, or a note says why not", async () => {
  const models = new Map<string, Model>();
  const noted: string[] = [];
  for (const [name, { experiment, rows }] of tables) {
    const { preset, classes, copies } = experiments[experiment];
    const labels = classes === undefined ? undefined : Array.from({ length: classes }, (_, i) => `${i}`);
    const model = models.get(preset) ?? await openModel(preset, { labels });
    models.set(preset, model);
    for (const { method, parameters, label } of rows) {
      const { adapter, target } = placed(method);
      const layer = adapt(joinMethods(adapter, model.joined), { target })(model.layer);
      const count = parameterCounts(layer, model.headPath).adapter;
      if (printed(copies * count) === parameters) continue;
      noted.push(`${name} ${label}`);
      assert(copies === 1 && paperNote(preset, adapter, count) !== undefined, `${name} ${label}: ${count}`);
      assert(paperNotes(name).some((note) => note.startsWith(`${label}: `)), `${name} ${label}`);
    }
  }
  assert(!paperNotes("S2", ["1lora", "lora"]).some((note) => note.startsWith("DiffFit")));
  assertEquals(noted, ["S2", "S3", "S4", "S5", "S6", "S7", "S11"].map((name) => `${name} DiffFit`));
});

Deno.test("the settings of every table are settings of train, with built-in models and data in micro size", () => {
  for (const [name, { rows, data, experiment }] of tables) {
    const { dataForms } = taskKind(`${experiments[experiment].settings.task}`);
    assert(dataForms.includes(data), `${name}: ${data}`);
    for (const { settings, methods, seeds, rates } of [fullSize(name), microSize(name)]) {
      const camel = (flag: string) => flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
      const written = new Map(
        Object.entries(settings).map(([flag, value]) => [camel(flag), { raw: `${value}`, where: flag }]),
      );
      const read = readOptions(trainFlags, [written]);
      assert(read._tag === "Right" && read.right.given.size === written.size, name);
      const cells = planCells({ methods, seeds, rates });
      assertEquals(new Set(cells.map((cell) => cell.name)).size, cells.length);
    }
    const { settings, methods } = microSize(name);
    assert(presetNames.includes(`${settings.model}`) && dataForms.includes(`${settings.data}`), name);
    assert(!`${settings.data}`.includes(":"), name);
    assertEquals(methods, ["none", ...rows.map(({ method }) => method)]);
  }
});

Deno.test("full size evaluates on the way and reports the best, as the paper, and steps fit on its cards", async () => {
  const own = (name: string) => fullSize(name).settings;
  // Depth Anything's validate_every: four times in each of 5 epochs.
  assertEquals(own("S2"), { task: "depth", "eval-every": 0.05, keep: "best" });
  assertEquals(own("S6"), { task: "reasoning", "eval-every": 1000, keep: "best" });
  assertEquals(own("S7"), { ...own("S6"), accumulate: 128 / 2 });
  assertEquals([own("S8")["time-limit"], own("S8").keep], [24 * 60 * 60, "best"]);
  assertEquals([own("S9")["eval-every"], own("S12")], [50_000 / 10, own("S9")]);
  for (const name of ["S2", "S7", "S8", "S9"]) assertEquals(microSize(name).settings.keep, undefined);
  const planned = (...args: readonly string[]) =>
    output("sweep", "--paper", "figure6", "--list", "--adapters", "1lora", ...args);
  assertMatch(await planned(), /^### Table S9: .*recipe: [^\n]*eval-every 5000, [^\n]*keep best/ms);
  const without = await planned("--eval-every", "0");
  assertMatch(without, /eval-every 0,/);
  assert(!without.includes("keep"));
  const generation = await output("sweep", "--paper", "S8", "--list", "--adapters", "1lora");
  assertMatch(generation, /^- besides: --vae hf:\S+ --features inception-v3-fid=\S+$/m);
  assertMatch(generation, /^\| 1lora .*\| +about 24h 00m \|$/m);
});

Deno.test("a table is named by its figure too", () => {
  const named = (name: string) => {
    const read = readOptions(sweepFlags, [new Map([["paper", { raw: name, where: "--paper" }]])]);
    return read._tag === "Right" ? read.right.options.paper : read.left.message;
  };
  assertEquals(
    ["s9", "figure2a", "Figure4", "figure8", "figure10", "figure11"].map(named),
    ["S9", "S2", "S7", "S12", "S11", "S9"],
  );
  assertStringIncludes(`${named("figure99")}`, 'found "figure99"');
});

Deno.test("the paper's figures stand beside ours", () => {
  assertEquals(paperLabel("S6", "lora@qkv"), "LoRA (QKV)");
  assertEquals(paperLabel("S6", "dora"), "dora");
  const columns = paperColumns("S6", ["lora@qkv", "dora"]);
  assertEquals(columns.map(({ title, cells }) => [title, ...cells.map(({ text }) => text)]), [
    ["paper: min", "134", "-"],
    ["paper: loss", "0.2 ± 0.002273", "-"],
    ["paper: memory %", "79", "-"],
    ["paper: trained", "786.43K", "-"],
  ]);
  const [, fid, , trained] = paperColumns("S8", ["1lora"]);
  assertEquals([fid.title, fid.cells[0].text, trained.cells[0].text], ["paper: FID", "12.8218", "603.68K"]);
  assertEquals(paperColumns("S9", ["1lora"])[3].title, "paper: trained, x 4");
});

Deno.test("the list names every table, and a table runs in micro size and beside the paper's figures", async () => {
  const listed = await output("sweep", "--list");
  assertEquals(listed.trimEnd(), paperList());
  for (const [name] of tables) assertStringIncludes(listed, `--paper ${name} --micro`);

  const folder = await Deno.makeTempDir();
  try {
    const small = [
      "--adapters",
      "none,1lora,all",
      "--seeds",
      "0",
      "--steps",
      "2",
      "--limit",
      "16",
      "--backend",
      "wasm",
    ];
    const table = await output("sweep", "--paper", "S9", "--micro", ...small, "--out", `${folder}/s9`);
    const [heads, ...cells] = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| -"))
      .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    const columns = ["method", "trained ↓", "rate"].map((name) => heads.indexOf(name));
    assertEquals(cells.map((row) => columns.map((i) => row[i])), [
      ["none", "0", "-"],
      ["1LoRA", "**4,608**", "0.008"],
      ["All", "802,048", "0.001"],
    ]);
    assertEquals(cells[0][1], "-");

    const own = ["--data", await smallCifar(`${folder}/cifar`), "--model", "tests/fixtures/vit-rgb"];
    const few = ["--adapters", "1lora", "--seeds", "0", "--steps", "1", "--batch-size", "4", "--backend", "wasm"];
    const full = await output("sweep", "--paper", "S9", ...own, ...few, "--out", `${folder}/full`);
    assertMatch(full, /^\| 1LoRA .*\| +17 \| +97.7 ± 0.186 \| +6 \| +331.78K \|$/m);
    assertStringIncludes(full, "The paper's parameters are those of 4 models.");
    const { lr, epochs, "weight-decay": decay } = JSON.parse(
      await Deno.readTextFile(`${folder}/full/1lora-seed0/config.json`),
    );
    assertEquals([lr, epochs, decay], [2e-5, undefined, 0.01]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
