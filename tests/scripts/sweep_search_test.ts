import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { placeOf, rateAt, standingOf, type Tried } from "../../scripts/commands/sweep/search.ts";
import { allTables, readTables, tableGroups } from "../../scripts/commands/sweep/paper_all.ts";
import { microSize } from "../../scripts/commands/sweep/paper.ts";
import { planCells } from "../../scripts/commands/sweep/plan.ts";
import { failure, json, runTask } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** A whole search in which a rate's value is known. */
function searched(start: number, value: (rate: number) => number | undefined) {
  const tried: Tried[] = [];
  let standing = standingOf(start, tried, "higher");
  while (standing.next.length > 0) {
    tried.push(...standing.next.map((rate) => ({ rate, value: value(rate) })));
    standing = standingOf(start, tried, "higher");
  }
  return { ...standing, tried: tried.map(({ rate }) => rate) };
}

Deno.test("a search goes on beyond the end at which the best rate lies", () => {
  assertEquals([-5, -4, -3, 0, 1].map(rateAt), [0.003, 0.01, 0.03, 1, 3]);
  assertEquals([0.008, 0.05, 1e-3, 1.61e-4].map(placeOf).map(rateAt), [0.01, 0.03, 1e-3, 1e-4]);
  const peak = (at: number) => (rate: number) => -Math.abs(Math.log(rate / at));
  assertEquals(searched(0.008, peak(0.01)), {
    ...standingOf(0.008, [], "higher"),
    next: [],
    best: 0.01,
    edge: undefined,
    tried: [0.003, 0.01, 0.03],
  });
  assertEquals(searched(0.008, peak(0.3)).tried, [0.003, 0.01, 0.03, 0.1, 0.3, 1]);
  assertEquals(searched(0.008, peak(0.3)).best, 0.3);
  assertEquals(searched(0.008, peak(1e-4)).best, 1e-4);
  // What diverges is worse than anything; where all do, lower rates are tried.
  assertEquals(searched(0.1, (rate) => rate > 0.02 ? undefined : rate), {
    ...{ next: [], best: 0.01, edge: "lowest" as const, tried: [0.03, 0.1, 0.3, 0.01] },
    ...searched(0.1, (rate) => rate > 0.02 ? undefined : rate),
  });
  assertEquals(searched(0.01, () => undefined).best, undefined);
  // Equal values do not lead away, and an end without an end is said.
  assertEquals(searched(0.01, () => 1).tried.length, 3);
  const endless = searched(1e-2, (rate) => rate);
  assertEquals([endless.best, endless.edge], [10, "highest"]);
});

Deno.test("a rate is found on examples held out, the test data judge the chosen one alone, and it goes on", async () => {
  const out = `${folder}/auto`;
  const sweep = [
    ...["--model", "tests/fixtures/vit-rgb", "--data", "mnist", "--backend", "wasm", "--limit", "16"],
    ...["--steps", "2", "--batch-size", "8", "--validation", "10", "--adapters", "none,bitfit", "--lrs", "auto"],
    ...["--seeds", "0", "--out", out],
  ];
  const first = await runTask("sweep", ...sweep, "--json");
  assertEquals(first.code, 0, first.err);
  const { rows: [none, row], runs } = JSON.parse(first.out);
  assertEquals([none.method, none.search, row.fair, row.best.metric.count], ["none", [], true, 1]);
  assert(row.search.length >= 3);
  const best = row.search.toSorted((a: { value: number }, b: { value: number }) => b.value - a.value)[0].value;
  assertEquals(row.search.find(({ rate }: { rate: number }) => rate === row.best.rate).value, best);
  for (const { cell, summary } of runs) {
    assertEquals(summary.untested === true, cell.testing === false, cell.name);
    assertEquals(summary.validation.examples, 10);
    assertEquals((await json(`${out}/${cell.name}/config.json`)).testing, cell.testing !== false);
    assertEquals(cell.testing === false, cell.method !== "none" && cell.rate !== row.best.rate);
  }
  // The run of the chosen rate went on to the test data: it has trained in an earlier process, which took more memory.
  const chosen =
    runs.find(({ cell }: { cell: { testing?: boolean; method: string } }) =>
      cell.testing !== false && cell.method === "bitfit"
    ).summary;
  assert(chosen.memory.peakBytes > 0 && chosen.memory.wholeBytes >= chosen.memory.peakBytes);
  const others = runs.filter(({ cell }: { cell: { testing?: boolean } }) => cell.testing === false)
    .map(({ summary }: { summary: { memory: { peakBytes: number } } }) => summary.memory.peakBytes);
  assert(chosen.memory.peakBytes > 0.97 * Math.min(...others), `${chosen.memory.peakBytes} of ${others}`);
  const again = await runTask("sweep", ...sweep);
  assertEquals(again.code, 0, again.err);
  assertEquals([...again.err.matchAll(/^\[\d+\/\d+\] /gm)].length, [...again.err.matchAll(/\(earlier\)$/gm)].length);
  assertStringIncludes(again.out, "best on training examples held out; the test data decide nothing.");
});

Deno.test("workers share a search: each rate is tried once, and the seeds follow what was found", async () => {
  const out = `${folder}/workers`;
  const sweep = [
    ...["--model", "tests/fixtures/vit-rgb", "--data", "mnist", "--backend", "wasm", "--limit", "16"],
    ...["--steps", "2", "--batch-size", "8", "--validation", "10", "--adapters", "bitfit", "--lrs", "auto"],
    ...["--seeds", "0,1", "--out", out],
  ];
  const workers = await Promise.all(["1/2", "2/2"].map((part) => runTask("sweep", ...sweep, "--part", part)));
  assertEquals(workers.map(({ code }) => code), [0, 0], workers.map(({ err }) => err).join("\n"));
  const said = workers.flatMap(({ err }) => err.match(/^bitfit rate \S+ seed \d .*$/gm) ?? []);
  const tried = said.filter((line) => line.includes("held out")).map((line) => line.split("  ")[0]);
  assert(tried.length >= 3);
  assertEquals(new Set(tried).size, tried.length, said.join("\n"));
  assert(workers.some(({ err }) => err.includes("0 to be done")));
  const collected = await runTask("sweep", ...sweep);
  assertEquals(collected.code, 0, collected.err);
  const lines = collected.err.match(/^\[\d+\/\d+\] .*$/gm)!;
  assertEquals(lines.filter((line) => !line.endsWith("(earlier)")), []);
  assertMatch(collected.out, /^Means over 2 seeds/m);
});

Deno.test("tables that are made of the same runs share them", () => {
  const groups = tableGroups(allTables);
  assertEquals(groups.map(({ tables }) => tables.map(({ name }) => name)), [
    ["S1-NYU-KITTI", "S3", "S11"],
    ["S1-KITTI-NYU", "S2"],
    ["S1-KITTI-DIODE", "S4"],
    ["S1-NYU-DIODE", "S5"],
    ["S6", "S7"],
    ["S8"],
    ["S9", "S12"],
    ["S10"],
  ]);
  for (const { configuration, tables } of groups) {
    const { methods, seeds, search, settings } = configuration;
    assertEquals([seeds, search, typeof settings.validation], [[0, 1, 2, 3], true, "number"]);
    assertEquals(new Set(tables.flatMap((table) => table.methods)), new Set(methods));
    const cells = planCells({ ...configuration, rates: () => [1] });
    assertEquals(new Set(cells.map(({ name }) => name)).size, cells.length);
    for (const { name, methods: own } of tables) assertEquals(own, microSize(name).methods);
  }
  assertEquals(readTables("S1, S9").length, 5);
});

Deno.test("a slice of all tables in micro size runs what two tables share once, and shows it in both", async () => {
  const out = `${folder}/all`;
  const small = ["--steps", "1", "--limit", "12", "--validation", "10", "--batch-size", "4", "--backend", "wasm"];
  const slice = ["--paper", "all", "--micro", "--only", "S9,S12", "--adapters", "bitfit,head", "--seeds", "0"];
  const { code, out: shown, err } = await runTask("sweep", ...slice, ...small, "--lrs", "0.01", "--out", out);
  assertEquals(code, 0, err);
  assertMatch(err, /^2 runs in .*runs\/image-classification-mnist$/m);
  assertMatch(
    shown,
    /^### Table S9 in micro size[^]*\| head only [^]*\| BitFit [^]*^### Table S12 in micro size[^]*\| β \(BitFit\) /m,
  );
  for (const [table, count] of [["S9", 2], ["S12", 1]] as const) {
    const { runs } = await json(`${out}/${table}/table.json`);
    assertEquals(runs.length, count);
  }
  // The page and the tables are those of the folder, not of the command.
  const one = ["--paper", "all", "--micro", "--only", "S12", "--adapters", "bitfit", "--seeds", "0"];
  const again = await runTask("sweep", ...one, ...small, "--lrs", "0.01", "--out", out);
  assertEquals(again.code, 0, again.err);
  assert(!again.out.includes("Table S9"));
  for (const file of ["paper.html", "table.md"]) {
    const text = await Deno.readTextFile(`${out}/${file}`);
    assertMatch(text, /Table S9 in micro size[^]*Table S12 in micro size/);
    assertMatch(text, /Not there yet: S1-NYU-KITTI, [^.]*S10, S11, figure9\. .*--only /);
  }
  assertEquals((await json(`${out}/table.json`)).map(({ runs }: { runs: unknown[] }) => runs.length), [2, 1]);
  const [refused, line] = await failure("sweep", "--paper", "all", "--out", out);
  assertEquals(refused, 2);
  assertStringIncludes(line, "no --micro");
});
