/**
 * `deno task align`: how far summation, random vectors and LoRA's learned vector point along the principal components of a
 * full weight update (paper, Figure 9).
 *
 * @module
 */
import { join } from "node:path";
import { parseMethods } from "../../adapters/spec.ts";
import { writeNumbers } from "../../dsl/files/json.ts";
import { requirePlace, writeWhole } from "../../dsl/files/write.ts";
import { useBackend } from "../../dsl/mod.ts";
import { align, type Alignment } from "../../tasks/alignment/align.ts";
import { alignmentChart } from "../../tasks/alignment/chart.ts";
import { svgFile } from "../../tasks/report/chart.ts";
import { NO_METHOD } from "../../tasks/trainer/method.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, type Options, text } from "../cli/mod.ts";
import { backendFlag, usage } from "../cli/options.ts";
import { interruptible } from "../cli/signals.ts";
import { microRuns, microTasks } from "./align/micro.ts";
import { readRunConfig } from "../../tasks/fine_tune/config.ts";

const flags = {
  full: text({ help: "Folder of a run that trained all weights (--adapter all)", value: "DIR" }),
  lora: text({ help: "Folder of a run of the same model with LoRA", value: "DIR" }),
  adapter: text({ help: "Folder of a run of the same model with any other method", value: "DIR" }),
  randoms: integer({ help: "Random vectors whose mean is shown", min: 1, default: 8 }),
  seed: integer({ help: "Seed of the random vectors", min: 0, default: 0 }),
  micro: boolean({
    help: "Train the two runs first, with a built-in model and data, and draw figure9.svg beside them",
  }),
  task: choice({ help: "What --micro trains", allowed: microTasks, default: microTasks[0] }),
  steps: integer({ help: "Steps of the runs of --micro (default 300)", min: 1 }),
  out: text({ help: "Folder of the runs of --micro (default: runs/align/TASK)", value: "DIR" }),
  chart: text({ help: "Draw the alignment by component, a chart for every kind of layer (SVG)", value: "FILE" }),
  json: boolean({ help: "Print JSON, with every component of every layer" }),
  ...backendFlag,
};

/** The model and adapter of a run's folder. */
async function runIn(folder: string, needed?: string): Promise<{ readonly model: string; readonly adapter: string }> {
  const { run: { model, adapter } } = await readRunConfig(folder);
  const methods = adapter === NO_METHOD ? [] : parseMethods(adapter);
  if (needed !== undefined && !methods.some(({ name }) => name === needed)) {
    throw usage(`reading --full ${folder}`, `a run of ${adapter}`, `one of --adapter ${needed}`);
  }
  return { model, adapter: join(folder, "adapter") };
}

/** A row for every kind and compression. */
function tableOf({ kinds }: Alignment): string {
  const percent = (value: number) => value.toFixed(3);
  const rows = kinds.flatMap(({ kind, layers, cosines }) =>
    Object.entries(cosines).map(([name, { first, firstTen, most }]) =>
      `| ${kind} | ${layers} | ${name} | ${percent(first)} | ${percent(firstTen)} | ${percent(most)} |`
    )
  );
  return [
    "| layer | layers | vector | first component | mean of the first ten | largest |",
    "| --- | ---: | --- | ---: | ---: | ---: |",
    ...rows,
  ].join("\n");
}

/** The runs to compare, and where the chart goes. */
async function runsOf(
  { full, lora, micro, task, steps, out = `runs/align/${task}`, chart }: Options<typeof flags>,
  given: ReadonlySet<keyof typeof flags>,
): Promise<{ readonly full: string; readonly lora: string; readonly chart?: string }> {
  const own = (["task", "steps", "out"] as const).find((name) => given.has(name));
  if (!micro) {
    if (own !== undefined) throw usage("reading the command line", `--${own} without --micro`, "--micro beside it");
    const lacking = full === undefined ? "full" : lora === undefined ? "lora" : undefined;
    if (lacking !== undefined) {
      throw usage("reading the command line", `no --${lacking}`, `--${lacking} DIR, or --micro`);
    }
    return { full: full!, lora: lora!, chart };
  }
  const beside = (["full", "lora"] as const).find((name) => given.has(name));
  if (beside !== undefined) throw usage("reading the command line", `--${beside} beside --micro`, "one of them");
  return { ...await microRuns(task, out, { steps, ...interruptible() }), chart: chart ?? `${out}/figure9.svg` };
}

await main(
  { name: "align", summary: "Aligns compression vectors with the principal components of a full update.", flags },
  attempt(async ({ options, given }) => {
    const { adapter, json, randoms, seed, backend, threads } = options;
    if (options.chart !== undefined) requirePlace(options.chart);
    await useBackend(backend, { threads });
    const { full, lora, chart } = await runsOf(options, given);
    const alignment = await align({
      full: await runIn(full, "all"),
      lora: await runIn(lora),
      adapter: adapter === undefined ? undefined : await runIn(adapter),
      randoms,
      seed,
    });
    console.log(json ? writeNumbers(alignment) : tableOf(alignment));
    if (chart === undefined) return;
    const svg = svgFile(alignmentChart(alignment));
    await writeWhole(chart, svg);
    console.error(chart);
  }),
);
