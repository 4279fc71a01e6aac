/**
 * `deno task evaluate`: metrics of a model on test data, with or without an adapter.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import { writeWhole } from "../../dsl/files/write.ts";
import {
  calibrationChart,
  type EvaluationRun,
  isCalibration,
  svgFile,
  taskKind,
  taskKinds,
  taskNames,
} from "../../tasks/mod.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, type Options, text } from "../cli/mod.ts";
import { openNoting } from "../cli/opened.ts";
import { backendFlag, readRun, taskDataHelp, taskFlags, trainedFlags, usage } from "../cli/options.ts";
import { reporterFor } from "../cli/run_folder.ts";

const flags = {
  run: text({ help: "Folder of a training run, for its task, model, adapter and data", value: "DIR" }),
  task: choice({ help: "What to judge by (default: the run's; image-classification)", allowed: taskNames }),
  ...trainedFlags,
  data: text({ help: taskDataHelp, value: "DATA" }),
  limit: integer({ help: "Use only so many test examples", min: 1 }),
  ...taskFlags,
  ...backendFlag,
  json: boolean({ help: "Print JSON, with everything there is: matrices, diagrams, histograms, answers" }),
  chart: text({ help: "Draw a classifier's error distribution and calibration (SVG)", value: "FILE" }),
};

/** What to evaluate, and on what. */
interface Subject extends EvaluationRun, Pick<Options<typeof flags>, "adapter" | "backend"> {
  readonly task: string;
  readonly model: string;
}

async function subjectOf(options: Options<typeof flags>, given: ReadonlySet<keyof typeof flags>): Promise<Subject> {
  const { run, task, model, data, adapter, limit, backend, json: _, chart: __, ...more } = options;
  const allowed = "--run DIR, or --model NAME|DIR --data DATA";
  const misuse = (found: string) => usage("reading the command line", found, allowed);
  if (run === undefined) {
    if (model === undefined) throw misuse("neither --run nor --model");
    if (data === undefined) throw misuse("no --data");
    return { ...more, task: task ?? Object.keys(taskKinds)[0], model, data, adapter, limit, backend };
  }
  if (model !== undefined || adapter !== undefined || task !== undefined) {
    throw misuse(`--run beside --${task !== undefined ? "task" : model === undefined ? "adapter" : "model"}`);
  }
  const saved = await readRun(run);
  const spoken = Object.fromEntries(Object.entries(more).filter(([name]) => given.has(name as keyof typeof flags)));
  return {
    ...saved,
    ...spoken,
    adapter: saved.adapter === "none" ? undefined : `${run}/adapter`,
    data: data ?? saved.data,
    limit: limit ?? (data === undefined ? saved.limit : undefined),
    backend: given.has("backend") ? backend : saved.backend,
  };
}

function inLines(metrics: Readonly<Record<string, number>>): string {
  const width = Math.max(...Object.keys(metrics).map((name) => name.length));
  const number = (value: number) => Number.isInteger(value) ? String(value) : value.toPrecision(5);
  return Object.entries(metrics).map(([name, value]) => `${name.padEnd(width)}  ${number(value)}`).join("\n");
}

await main(
  { name: "evaluate", summary: "Metrics of a model on test data, with or without an adapter.", flags },
  attempt(async ({ options, given }) => {
    const subject = await subjectOf(options, given);
    const { chart } = options;
    if (chart !== undefined && subject.task !== "image-classification") {
      throw usage("drawing --chart", `the task ${subject.task}`, "image-classification");
    }
    await useBackend(subject.backend);
    const opened = await openNoting(subject.model, subject.adapter, subject.seed);
    try {
      const kind = taskKind(subject.task);
      const { metrics, details, notes } = await kind.evaluate(opened, subject, reporterFor("evaluating"));
      for (const note of notes) console.error(`note: ${note}`);
      console.log(options.json ? JSON.stringify(details) : `${kind.inWords(metrics)}\n\n${inLines(metrics)}`);
      if (chart === undefined || !isCalibration(details)) return;
      const named = { name: subject.adapter ?? subject.model, metrics: details };
      const svg = svgFile(calibrationChart([named]));
      await writeWhole(chart, svg);
    } finally {
      dispose(opened.params as Record<string, Tensor>);
    }
  }),
);
