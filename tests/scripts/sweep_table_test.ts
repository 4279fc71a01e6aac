import { assertAlmostEquals, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { chartOf } from "../../scripts/commands/sweep/chart.ts";
import type { Summary } from "../../scripts/commands/sweep/folder.ts";
import { marked } from "../../scripts/commands/sweep/markdown.ts";
import { type Cell, planCells, readMethods } from "../../scripts/commands/sweep/plan.ts";
import { rowsOf } from "../../scripts/commands/sweep/rows.ts";
import type { CellResult } from "../../scripts/commands/sweep/run.ts";
import { meanOf } from "../../scripts/commands/sweep/statistics.ts";
import { tableOf } from "../../scripts/commands/sweep/table.ts";

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
  const timed = rowsOf(known, deciding, (method) => method).map((row) => ({
    ...row,
    best: { ...row.best!, seconds: 600, bestSeconds: row.method === "lora" ? 120 : undefined },
  }));
  const asPaper = chartOf({ title: "t", rows: timed, deciding, time: "best" }) as typeof spec;
  assertEquals(asPaper.data.values.map(({ time }) => time), [10, 2, 10]);
  const [{ least, mean, most }] = spec.data.values as readonly Readonly<Record<string, number>>[];
  assertAlmostEquals(mean, 60, 1e-9);
  assertAlmostEquals(most - mean, 100 * Math.sqrt(0.02), 1e-9);
  assertAlmostEquals(mean - least, 100 * Math.sqrt(0.02), 1e-9);
  assertStringIncludes(spec.title.subtitle[0], "(all capped)");
});
