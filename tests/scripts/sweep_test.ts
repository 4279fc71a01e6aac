import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { claimFolder } from "../../dsl/files/claim.ts";
import { failure, json, linesOf, output, runTask, start } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** The smallest model there is, for moments. */
const tiny = (steps: number) => [
  ...["--model", "tests/fixtures/vit-rgb", "--data", "mnist", "--backend", "wasm", "--limit", "16"],
  ...["--steps", `${steps}`, "--batch-size", "8"],
];

/** The folder of a sweep of two methods, two rates and two seeds. */
const complete = `${folder}/complete`;

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
  const out = complete;
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
  const before = await json(`${complete}/table.json`);
  const sweep = async (...more: readonly string[]) =>
    JSON.parse(await output("sweep", ...tiny(2), "--out", complete, "--json", ...more));
  const joined = await sweep("--adapters", "bitfit", "--lrs", "0.01", "--seeds", "0");
  const [first, second] = before.rows;
  assertEquals(joined.rows.map(({ method }: { method: string }) => method), [first.method, second.method, "bitfit"]);
  assertEquals(joined.rows.slice(0, 2), before.rows);
  // The same methods with another rate join theirs.
  const again = await sweep("--adapters", "1lora", "--lrs", "0.003", "--seeds", "0,1");
  assertEquals(again.rows.map(({ method, rates }: { method: string; rates: number }) => [method, rates]), [
    ["1lora", 3],
    [second.method, 2],
    ["bitfit", 1],
  ]);
  assertEquals(again.runs.length, 11);
});

Deno.test("a run that fails is a line, the others go on, and the exit code is 1", async () => {
  const out = `${folder}/failing`;
  const sweep = [...tiny(2), "--adapters", "1lora", "--seeds", "0", "--lrs", "0.01,1e30", "--jobs", "2"];
  const { code, out: shown, err } = await runTask("sweep", ...sweep, "--out", out);
  assertEquals(code, 1);
  assertMatch(err, /^\[\d\/2\] 1lora rate 1e\+30 seed 0 {2}failed: training step \d: found loss (NaN|-?Infinity)/m);
  assertMatch(err, /^error: sweeping .*: found 1 of 2 runs failed/m);
  assertMatch(shown, /^\| 1lora +\|.* 0.01 \|$/m);
  assertStringIncludes(shown, "1lora: 1 failed.");
  assertStringIncludes(shown, "ms a step, shared");
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
  Deno.test(`${signal} ends a sweep and its run with what is finished and how to go on, and the same command resumes it`, async () => {
    const [out, log] = [`${folder}/interrupted-${signal}`, `${folder}/interrupted-${signal}/1lora-seed0/metrics.jsonl`];
    const sweep = [...tiny(300), "--adapters", "none,1lora", "--seeds", "0", "--out", out];
    const running = start("sweep", ...sweep);
    while ((await linesOf(log)).length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    running.process.kill(signal);
    const { code, out: shown, err } = await running.outcome;
    assertEquals(code, expected, err);
    assertMatch(err, /^error: .*an interrupt with 1 of 2 runs finished; allowed: the same command again/m);
    // What is finished is shown.
    assertStringIncludes(shown, "1lora: 1 to be run.");
    assertEquals(`${await Deno.readTextFile(`${out}/table.md`)}`, shown);
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
  // More than a run takes while another command starts, however busy the machine is.
  const steps = 1500;
  const log = `${out}/1lora-seed0/metrics.jsonl`;
  const sweep = [...tiny(steps), "--adapters", "1lora", "--seeds", "0", "--out", out];
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
  assert(after < steps, "the run went on without its sweep");
  await output("sweep", ...sweep);
  assertEquals(await lines(), steps);
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
