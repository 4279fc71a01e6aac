import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { claimFolder } from "../../dsl/files/claim.ts";
import { chartOf } from "../../scripts/commands/sweep/chart.ts";
import type { Summary } from "../../scripts/commands/sweep/folder.ts";
import { marked } from "../../scripts/commands/sweep/markdown.ts";
import { type Cell, planCells, readMethods } from "../../scripts/commands/sweep/plan.ts";
import { rowsOf } from "../../scripts/commands/sweep/rows.ts";
import type { CellResult } from "../../scripts/commands/sweep/run.ts";
import { meanOf } from "../../scripts/commands/sweep/statistics.ts";
import { tableOf } from "../../scripts/commands/sweep/table.ts";
import { failure, linesOf, output, runTask, start } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** The smallest model there is, for moments. */
const tiny = (steps: number) => [
  ...["--model", "tests/fixtures/vit-rgb", "--data", "mnist", "--backend", "wasm", "--limit", "16"],
  ...["--steps", `${steps}`, "--batch-size", "8"],
];
const json = async (path: string) => JSON.parse(await Deno.readTextFile(path));

Deno.test("a mean has the sample standard deviation of its values, and none of one", () => {
  const { mean, deviation, count } = meanOf([2, 4, 4, 4, 5, 5, 7, 9]);
  assertEquals([mean, count], [5, 8]);
  assertAlmostEquals(deviation!, Math.sqrt(32 / 7), 1e-12);
  assertEquals(meanOf([3]), { mean: 3, count: 1 });
});

Deno.test("methods are told apart from their settings, and each has a cell for every rate and seed", () => {
  const methods = readMethods("none,lora:rank=4,alpha=8,1lora+norms,lora@qkv");
  assertEquals(methods, ["none", "lora:rank=4,alpha=8", "1lora+norms", "lora@qkv"]);
  const cells = planCells({ methods, seeds: [0, 7], rates: (method) => method.includes("@") ? [] : [0.1, 2e-5] });
  assertEquals(cells.map(({ name }) => name), [
    ...["none-seed0", "lora-rank=4-alpha=8-lr0.1-seed0", "lora-rank=4-alpha=8-lr0.00002-seed0"],
    ...["1lora+norms-lr0.1-seed0", "1lora+norms-lr0.00002-seed0", "lora@qkv-seed0"],
    ...["none-seed7", "lora-rank=4-alpha=8-lr0.1-seed7", "lora-rank=4-alpha=8-lr0.00002-seed7"],
    ...["1lora+norms-lr0.1-seed7", "1lora+norms-lr0.00002-seed7", "lora@qkv-seed7"],
  ]);
  assertEquals(cells.at(-1), {
    ...{ name: "lora@qkv-seed7", method: "lora@qkv", adapter: "lora", target: "qkv" },
    ...{ rate: undefined, seed: 7 },
  });
  for (const wrong of ["lroa", "1lora,1lora", ""]) assertThrows(() => readMethods(wrong), OneloraError);
});

/** Runs that have ended as if they were real: accuracies by method, rate and seed. */
function results(accuracies: Readonly<Record<string, Readonly<Record<number, readonly number[]>>>>) {
  return Object.entries(accuracies).flatMap(([method, rates], i) =>
    Object.entries(rates).flatMap(([rate, values]) =>
      values.map((accuracy, seed): CellResult => {
        const cell: Cell = { name: "", method, adapter: method, rate: Number(rate), seed };
        if (Number.isNaN(accuracy)) return { cell, state: "failed", why: "smoke" };
        const summary: Summary = {
          ...{ task: "image-classification", model: "m", backend: "wasm", precision: "float32" },
          parameters: { adapter: method === "all" ? 5_000_000 : 1000 * (i + 1), head: 10 },
          ...{ steps: 5, seconds: 1, stepSeconds: 0.01 * (i + 1), peakRssBytes: 200e6 },
          metrics: { accuracy, loss: 1 },
          deciding: { metric: "accuracy", better: "higher" },
        };
        return { cell, state: "finished", summary, rate: Number(rate), shared: false };
      })
    )
  );
}

const deciding = { metric: "accuracy", better: "higher" } as const;

Deno.test("the rate with the best mean stands for a method, among those with the most seeds", () => {
  const known = results({
    "1lora": { 0.1: [0.5, 0.7, 0.9], 0.01: [0.8, 0.8, 0.8], 1: [0.99, NaN, NaN] },
    "lora": { 0.1: [0.9, 0.9, 0.9] },
  });
  const [first, second] = rowsOf(known, deciding, (method) => method.toUpperCase());
  assertEquals([first.label, first.best?.rate, first.failed, first.tried.length], ["1LORA", 0.01, 2, 3]);
  assertAlmostEquals(first.best!.metric.mean, 0.8, 1e-12);
  assertAlmostEquals(first.tried.find(({ rate }) => rate === 0.1)!.metric.deviation!, 0.2, 1e-12);
  assertEquals(second.best?.metric.count, 3);
  // The other way round, the smallest is best.
  const [worst] = rowsOf(known, { metric: "accuracy", better: "lower" }, (method) => method);
  assertEquals(worst.best?.rate, 0.1);
});

Deno.test("the best three of a column are marked, equal ones alike, what has no value not at all", () => {
  const cells = [3, 1, undefined, 1, 2, 4].map((value) => ({ text: `${value}`, value }));
  const lower = ["_3_", "**1**", "undefined", "**1**", "<ins>2</ins>", "4"];
  assertEquals(marked({ title: "", better: "lower", cells }), lower);
  const higher = ["<ins>3</ins>", "1", "undefined", "1", "_2_", "**4**"];
  assertEquals(marked({ title: "", better: "higher", cells }), higher);
  assertEquals(marked({ title: "", cells }), cells.map(({ text }) => text));
});

Deno.test("the table shows means, deviations and ranks of known results", () => {
  const rows = rowsOf(
    results({
      "bitfit": { 0.1: [0.80, 0.82, 0.84] },
      "1lora": { 0.1: [0.85, 0.87, 0.89] },
      "lora": { 0.1: [0.861, 0.861, NaN] },
      "all": { 0.1: [0.95, 0.95, 0.95] },
    }),
    deciding,
    (method) => method,
  );
  const paper = { title: "paper: accuracy", cells: rows.map((_, i) => ({ text: `${i}` })) };
  assertEquals(
    tableOf({ title: "A test", rows, deciding, beside: [paper], notes: ["A note."] }),
    `### A test

| method |   ms a step ↓ |    min ↓ |                     accuracy % ↑ | peak MB ↓ |        trained ↓ | paper: accuracy |
| ------ | ------------: | -------: | -------------------------------: | --------: | ---------------: | --------------: |
| bitfit |        **10** | **0.02** |                   _82.00 ± 2.00_ |   **200** |        **1,000** |               0 |
| 1lora  | <ins>20</ins> | **0.02** |                 **87.00 ± 2.00** |   **200** | <ins>2,000</ins> |               1 |
| lora   |          _30_ | **0.02** | <ins>86.10 ± 0.00 (2 of 3)</ins> |   **200** |          _3,000_ |               2 |
| all    |            40 |     0.02 |                     95.00 ± 0.00 |       200 |        5,000,000 |               3 |

Marked: **best**, <ins>second</ins> and _third_ of each column, without all.
Means over 3 seeds ± sample standard deviation.
The head's 10 parameters are trained besides.
lora: 1 failed.
A note.`,
  );
});

Deno.test("minutes, the best value and memory's share have columns, and a busy machine is marked", () => {
  const known = results({ "1lora": { 0.1: [0.5, 0.7] }, "lora": { 0.1: [0.9, 0.9] } }).map((result): CellResult => {
    if (result.state !== "finished") return result;
    const { cell: { method, seed }, summary } = result;
    const own: Partial<Summary> = {
      ...{ seconds: 600, bestSeconds: 90 + 60 * seed, best: { value: 0.9, step: 4 } },
      memory: { peakBytes: 200e6, share: method === "lora" ? 0.5 : 0.25 },
      otherLoad: method === "lora" && seed === 1 ? 0.3 : 0.02,
    };
    return { ...result, summary: { ...summary, ...own, metrics: { ...summary.metrics, absRel: 0.125 } } };
  });
  const rows = rowsOf(known, deciding, (method) => method);
  assertEquals(
    tableOf({ title: "A test", rows, deciding }).split("\n").slice(2, 10).map((line) => line.replace(/ {2,}/g, " "))
      .filter((line) => !/^\| -/.test(line)),
    [
      "| method | ms a step ↓ | min ↓ | min to best ↓ | accuracy % ↑ | best accuracy % ↑ | AbsRel ↓ | peak MB ↓ |" +
      " memory % ↓ | trained ↓ |",
      "| 1lora | **10** | **10** | **2** | <ins>60.00 ± 14.14</ins> | **90.00 ± 0.00** | **0.1250 ± 0.0000** |" +
      " **200** | **25.0** | **1,000** |",
      "| lora | <ins>20 †</ins> | **10 †** | **2 †** | **90.00 ± 0.00** | **90.00 ± 0.00** | **0.1250 ± 0.0000** |" +
      " **200** | <ins>50.0</ins> | <ins>2,000</ins> |",
      "",
      "Marked: **best**, <ins>second</ins> and _third_ of each column.",
      "Means over 2 seeds ± sample standard deviation.",
      "† The machine was busy with other things: these times are not the methods' own.",
    ],
  );
  const { data: { values } } = chartOf({ title: "t", rows, deciding }) as {
    readonly data: { readonly values: readonly Readonly<Record<string, unknown>>[] };
  };
  assertEquals(values.map(({ minutes, best, share }) => [minutes, best, share]), [[10, 2, "25 %"], [10, 2, "50 %"]]);
});

Deno.test("there is no chart while no method has trained", () => {
  const untrained = results({ none: { 0.1: [0.5, 0.5] } }).map((result): CellResult =>
    result.state === "finished" ? { ...result, summary: { ...result.summary, steps: 0 } } : result
  );
  assertEquals(chartOf({ title: "t", rows: rowsOf(untrained, deciding, (method) => method), deciding }), undefined);
});

Deno.test("a chart has a bubble for each timed method, capped at the largest that is not a reference", () => {
  const known = results({ "1lora": { 0.1: [0.5, 0.7] }, "lora": { 0.1: [0.9, 0.9] }, "all": { 0.1: [0.8, 0.8] } });
  const spec = chartOf({ title: "t", rows: rowsOf(known, deciding, (method) => method), deciding }) as {
    readonly data: { readonly values: readonly Readonly<Record<string, unknown>>[] };
    readonly title: { readonly subtitle: readonly string[] };
  };
  assertEquals(spec.data.values.map(({ method, time, parameters }) => [method, time, parameters]), [
    ["1lora", 10, 1000],
    ["lora", 20, 2000],
    ["all", 30, 5_000_000],
  ]);
  const [{ least, mean, most }] = spec.data.values as readonly Readonly<Record<string, number>>[];
  assertAlmostEquals(mean, 60, 1e-9);
  assertAlmostEquals(most - mean, 100 * Math.sqrt(0.02), 1e-9);
  assertAlmostEquals(mean - least, 100 * Math.sqrt(0.02), 1e-9);
  assertStringIncludes(spec.title.subtitle[0], "(all capped)");
});

/** What is used of saxes. */
interface Saxes {
  readonly SaxesParser: new () => {
    on(event: "text", tell: (text: string) => void): void;
    on(event: "error", tell: (error: Error) => void): void;
    write(text: string): { close(): void };
  };
}

// Not a literal at the point of import, which would put the package into the lock file.
const saxes = "npm:saxes@6.0.0";
const { SaxesParser } = await import(saxes) as Saxes;

/** Texts of a piece of XML, which must be well-formed. */
function textsOf(xml: string): readonly string[] {
  const texts: string[] = [];
  const parser = new SaxesParser();
  parser.on("text", (text) => texts.push(text));
  parser.on("error", (error) => {
    throw error;
  });
  parser.write(xml).close();
  return texts;
}

Deno.test("a sweep runs every cell once, and its table, data and chart say what came of them", async () => {
  const out = `${folder}/complete`;
  const sweep = [...tiny(2), "--adapters", "1lora,lora:rank=2,alpha=4", "--lrs", "0.01,0.001", "--out", out];
  const shown = await output("sweep", ...sweep, "--seeds", "0");
  assertMatch(shown, /^\| lora:rank=2,alpha=4 \|.*<ins>1,552<\/ins> \|/m);
  const first = await json(`${out}/1lora-lr0.01-seed0/summary.json`);
  assertEquals((await json(`${out}/1lora-lr0.01-seed0/config.json`)).lr, 0.01);

  const { code, out: again, err } = await runTask("sweep", ...sweep, "--seeds", "0,1", "--json");
  assertEquals(code, 0, err);
  assertEquals([...err.matchAll(/\(earlier\)/g)].length, 4, err);
  assertEquals([...err.matchAll(/^\[\d\/8\] /gm)].length, 8, err);
  assertEquals(await json(`${out}/1lora-lr0.01-seed0/summary.json`), first);
  const { rows, runs } = JSON.parse(again);
  assertEquals(runs.length, 8);
  const summaries = await Promise.all(
    [0, 1].map((seed) => json(`${out}/lora-rank=2-alpha=4-lr0.001-seed${seed}/summary.json`)),
  );
  const { metric, peakRssBytes } = rows[1].tried.find(({ rate }: { rate: number }) => rate === 0.001);
  assertAlmostEquals(metric.mean, (summaries[0].metrics.accuracy + summaries[1].metrics.accuracy) / 2, 1e-12);
  assertAlmostEquals(peakRssBytes, (summaries[0].peakRssBytes + summaries[1].peakRssBytes) / 2, 1);
  assertEquals(await json(`${out}/table.json`), JSON.parse(again));
  assertStringIncludes(await Deno.readTextFile(`${out}/table.md`), "Means over 2 seeds ± sample standard deviation.");
  const texts = textsOf(await Deno.readTextFile(`${out}/chart.svg`));
  for (const text of ["1lora", "lora:rank=2,alpha=4", "accuracy % (higher is better)", "peak MB"]) {
    assert(texts.includes(text), `${text} in ${texts}`);
  }

  const [refused, line] = await failure("sweep", ...sweep.slice(0, -4), "--warmup", "1", "--out", out);
  assertEquals(refused, 2);
  assertStringIncludes(line, "--warmup 1 where it was not given");
});

Deno.test("a sweep that another one joins keeps the first's rows, seeds and rates", async () => {
  const out = `${folder}/joined`;
  const sweep = (...more: readonly string[]) => output("sweep", ...tiny(2), "--out", out, "--json", ...more);
  const first = JSON.parse(await sweep("--adapters", "1lora", "--lrs", "0.01", "--seeds", "0,1"));
  const joined = JSON.parse(await sweep("--adapters", "bitfit", "--lrs", "0.01", "--seeds", "0"));
  assertEquals(joined.rows.map(({ method }: { method: string }) => method), ["1lora", "bitfit"]);
  assertEquals(joined.rows[0], first.rows[0]);
  // The same methods with another rate join theirs.
  const again = JSON.parse(await sweep("--adapters", "1lora", "--lrs", "0.001", "--seeds", "0,1"));
  assertEquals(again.rows.map(({ method, rates }: { method: string; rates: number }) => [method, rates]), [
    ["1lora", 2],
    ["bitfit", 1],
  ]);
  assertEquals(again.runs.length, 5);
});

Deno.test("a run that fails is a line, the others go on, and the exit code is 1", async () => {
  const out = `${folder}/failing`;
  const sweep = [...tiny(2), "--adapters", "1lora,bitfit", "--seeds", "0", "--lrs", "0.01,1e30", "--jobs", "2"];
  const { code, out: shown, err } = await runTask("sweep", ...sweep, "--out", out);
  assertEquals(code, 1);
  assertMatch(err, /^\[\d\/4\] 1lora rate 1e\+30 seed 0 {2}failed: training step \d: found loss (NaN|-?Infinity)/m);
  assertMatch(err, /^error: sweeping .*: found 2 of 4 runs failed/m);
  assertMatch(shown, /^\| bitfit \|.* 0.01 \|$/m);
  assertStringIncludes(shown, "1lora: 1 failed.");
  assertStringIncludes(shown, "ms a step, shared");
});

Deno.test("an interrupted sweep shows what is finished", async () => {
  const out = `${folder}/partial`;
  const sweep = [...tiny(400), "--adapters", "none,1lora", "--seeds", "0", "--out", out];
  const running = start("sweep", ...sweep);
  while ((await linesOf(`${out}/1lora-seed0/metrics.jsonl`)).length < 20) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  running.process.kill("SIGINT");
  const { code, out: shown, err } = await running.outcome;
  assertEquals(code, 130, err);
  assertStringIncludes(shown, "1lora: 1 to be run.");
  assertEquals(`${await Deno.readTextFile(`${out}/table.md`)}`, shown);
  assertMatch(err, /an interrupt with 1 of 2 runs finished/);
});

Deno.test("full fine-tuning, LoRA and 1LoRA of a classifier are compared as in Figure 11", async () => {
  const out = `${folder}/figure11`;
  const { code, err } = await runTask(
    "sweep",
    ...tiny(1),
    "--adapters",
    "1lora,lora,all",
    "--seeds",
    "0",
    "--out",
    out,
  );
  assertEquals(code, 0, err);
  assertMatch(err, /table.md, table.json, chart.svg, chart.png, figure11.svg$/m);
  const texts = textsOf(await Deno.readTextFile(`${out}/figure11.svg`));
  const { metrics } = await json(`${out}/lora-seed0/summary.json`);
  const percent = (share: number) => `${Number((100 * share).toPrecision(3))} %`;
  const line = `lora: accuracy ${percent(metrics.accuracy)}, ECE ${percent(metrics.ece)}`;
  assert(texts.includes(line), `${line} in ${texts}`);
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`${signal} ends a sweep and its run with a line that says how to go on, and the same command resumes it`, async () => {
    const [out, log] = [`${folder}/interrupted-${signal}`, `${folder}/interrupted-${signal}/1lora-seed0/metrics.jsonl`];
    const sweep = [...tiny(300), "--adapters", "1lora", "--seeds", "0", "--out", out];
    const running = start("sweep", ...sweep);
    while ((await linesOf(log)).length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    running.process.kill(signal);
    const { code, err } = await running.outcome;
    assertEquals(code, expected, err);
    assertMatch(err, /^error: .*an interrupt with 0 of 1 runs finished; allowed: the same command again/m);
    // Whoever still had the run's folder would be named.
    (await claimFolder(`${out}/1lora-seed0`, "test"))[Symbol.dispose]();
    const reached = (await linesOf(log)).length;
    assert(reached >= 20 && reached < 300);
    await output("sweep", ...sweep);
    assertEquals((await linesOf(log)).length, 300);
    assertEquals((await json(`${out}/1lora-seed0/summary.json`)).steps, 300);
  });
}

Deno.test("a sweep that is killed takes its run with it, keeps its folder to itself, and goes on afterwards", async () => {
  const out = `${folder}/killed`;
  const log = `${out}/1lora-seed0/metrics.jsonl`;
  const sweep = [...tiny(400), "--adapters", "1lora", "--seeds", "0", "--out", out];
  const running = start("sweep", ...sweep);
  while ((await linesOf(log)).length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
  const [code, line] = await failure("sweep", ...sweep);
  assertEquals(code, 1);
  assertStringIncludes(line, `found sweep of process ${running.process.pid}`);
  running.process.kill("SIGKILL");
  await running.outcome;
  const lines = async () => (await linesOf(log)).length;
  let [before, after] = [-1, await lines()];
  while (before !== after) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    [before, after] = [after, await lines()];
  }
  assert(after < 400, "the run went on without its sweep");
  await output("sweep", ...sweep);
  assertEquals(await lines(), 400);
});

Deno.test("wrong usage is one line with exit code 2", async () => {
  const cases: readonly (readonly [args: readonly string[], part: string])[] = [
    [[], "--adapters SPEC,... or --paper NAME"],
    [["--adapters", "1lroa"], 'did you mean "1lora"?'],
    [["--paper", "S9"], "--data cifar10:DIR and --model hf:google/vit-base-patch16-224-in21k"],
    [["--paper", "S13"], "S2, S3"],
    [["--micro", "--adapters", "lora"], "no --paper"],
    [["--adapters", "lora", "--seeds", "0,-1"], '"-1"'],
    [["--adapters", "lora", "--lrs", "1e-3,1e-3"], "each once"],
  ];
  for (const [args, part] of cases) {
    const [code, line] = await failure("sweep", ...args);
    assertEquals(code, 2, line);
    assertStringIncludes(line, part);
  }
});

Deno.test("workers of a sweep take its runs one by one, each run once, and the same command collects them", async () => {
  const out = `${folder}/parts`;
  const sweep = [...tiny(2), "--adapters", "none,1lora,bitfit", "--seeds", "0", "--out", out];
  // As if a worker had it that lives.
  const claim = await claimFolder(`${out}/claims/bitfit-seed0`, "sweep");
  const workers = await Promise.all(["1/2", "2/2"].map((part) => runTask("sweep", ...sweep, "--part", part)));
  assertEquals(workers.map(({ code }) => code), [0, 0], workers[0].err);
  const said = workers.map(({ err }) => err).join("");
  assertEquals(said.match(/^(none|1lora|bitfit) seed 0/gm)?.toSorted(), ["1lora seed 0", "none seed 0"]);
  assertStringIncludes(said, "1 to be done");
  claim[Symbol.dispose]();
  assertStringIncludes(await output("sweep", ...sweep), "| bitfit |");
  assertEquals((await json(`${out}/table.json`)).rows.length, 3);
  assertMatch((await failure("sweep", ...sweep, "--part", "3/2"))[1], /reading --part: found 3\/2; allowed: K\/N/);
});
