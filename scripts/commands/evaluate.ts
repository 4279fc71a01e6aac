/**
 * `deno task evaluate`: metrics of a model on test data, with or without an adapter.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { writeNumbers } from "../../dsl/files/json.ts";
import { useBackend } from "../../dsl/mod.ts";
import type { Model } from "../../models/mod.ts";
import { requirePlace, writeWhole } from "../../dsl/files/write.ts";
import { type EvaluationRun, readRunConfig, type Run, type TaskKind, taskKind, taskNames } from "../../tasks/mod.ts";
import { quantisations } from "../../dsl/quantise.ts";
import { holdingOf } from "../../tasks/trainer/holding.ts";
import { type Evaluations, fewerAtATime, whileReading } from "../../tasks/trainer/needs.ts";
import type { Use } from "../../tasks/trainer/room.ts";
import { inPrecision } from "../../tasks/trainer/precision.ts";
import { evaluationSettings } from "../../tasks/trainer/settings.ts";
import { testData } from "../../tasks/trainer/task.ts";
import { sayingHowLong } from "../../tasks/trainer/waiting.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, choice, integer, main, type Options, text, withFlags } from "../cli/mod.ts";
import { modelMeant, openNoting } from "../cli/opened.ts";
import { backendFlag, ownFlags, ownOptions, quantiseFlag, taskDataHelp, trainedFlags, usage } from "../cli/options.ts";
import { reporterFor } from "../cli/run_folder.ts";

const flags = {
  run: text({ help: "Folder of a training run, for its task, model, adapter and data", value: "DIR" }),
  task: choice({ help: `Task to evaluate (default: the run's; ${taskNames[0]})`, allowed: taskNames }),
  ...trainedFlags,
  data: text({ help: taskDataHelp, value: "DATA" }),
  limit: integer({ help: "Use only so many test examples", min: 1 }),
  ...ownFlags(evaluationSettings),
  evalBatch: integer({ help: "Examples at a time (default: the run's, the task's)", min: 1 }),
  ...quantiseFlag,
  ...backendFlag,
  json: boolean({ help: "Print JSON with all details: matrices, diagrams, histograms, answers" }),
  chart: text({ help: "Draw a classifier's error distribution and calibration (SVG)", value: "FILE" }),
};

/** What to evaluate, and on what. */
interface Subject
  extends EvaluationRun, Pick<Options<typeof flags>, "adapter" | "backend">, Pick<Run, "precision" | "quantise"> {
  readonly kind: TaskKind;
  readonly model: string;
}

async function subjectOf(options: Options<typeof flags>, given: ReadonlySet<keyof typeof flags>): Promise<Subject> {
  const { run, task, model, data, adapter, limit, evalBatch, backend, quantise } = options;
  const allowed = "--run DIR, or --model NAME|DIR --data DATA";
  const misuse = (found: string) => usage("reading the command line", found, allowed);
  if (run === undefined) {
    if (model === undefined && adapter === undefined) throw misuse("neither --run nor --model");
    if (data === undefined) throw misuse("no --data");
    const kind = taskKind(task ?? taskNames[0]);
    return {
      kind,
      model: await modelMeant(model, adapter),
      data,
      adapter,
      limit,
      evalBatch,
      backend,
      quantise,
      own: ownOptions(kind, options, given, evaluationSettings),
    };
  }
  if (model !== undefined || adapter !== undefined || task !== undefined) {
    throw misuse(`--run beside --${task !== undefined ? "task" : model === undefined ? "adapter" : "model"}`);
  }
  const { kind, run: saved, backend: engine } = await readRunConfig(run);
  return {
    ...saved,
    kind,
    own: { ...saved.own, ...ownOptions(kind, options, given, evaluationSettings) },
    adapter: saved.adapter === "none" ? undefined : `${run}/adapter`,
    data: data ?? saved.data,
    validation: data === undefined ? saved.validation : undefined,
    evalBatch: evalBatch ?? saved.evalBatch,
    quantise: quantise ?? saved.quantise,
    limit: limit ?? (data === undefined ? saved.limit : undefined),
    backend: given.has("backend") ? backend : engine,
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
    const { kind } = subject;
    if (chart !== undefined && kind.chart === undefined) {
      const drawn = taskNames.filter((name) => taskKind(name).chart !== undefined);
      throw usage("drawing --chart", `the task ${kind.name}`, drawn.join(", "));
    }
    if (chart !== undefined) requirePlace(chart);
    await useBackend(subject.backend, { threads: options.threads });
    if (subject.quantise !== undefined && kind.compact === undefined) {
      throw usage(
        `--quantise ${subject.quantise}`,
        `the task ${kind.name}`,
        "tasks of language models",
      );
    }
    const holding = holdingOf(kind, { ...subject, reading: "passes" });
    // Data first: what it is decides how much memory an evaluation takes.
    const data = await testData(kind, subject);
    const evaluations = (model: Model): Evaluations => ({
      rows: subject.evalBatch ?? kind.evaluationRows(model),
      needs: async (evalBatch) => {
        const needs = await kind.evaluationNeeds(model, data, { ...subject, evalBatch });
        return (layer, kept) => whileReading(kept.backend, needs(layer, kept));
      },
    });
    const use: Use = {
      attempted: `evaluating ${subject.model}`,
      needs: (model) => evaluations(model).needs(evaluations(model).rows),
      fewer: (model) => fewerAtATime(evaluations(model)),
      changes: quantisations.map((quantise) => [`--quantise ${quantise}`, { ...holding, quantise }]),
    };
    const plain = await openNoting(subject.model, subject.adapter, { seed: subject.seed, holding, use });
    const opened = { ...plain, params: await inPrecision(plain.layer, plain.params, subject.precision) };
    try {
      const { metrics, details, notes } = await sayingHowLong(
        console.error,
        "evaluating",
        () => kind.evaluate(opened, data, subject, reporterFor("evaluating")),
      );
      for (const note of notes) console.error(`note: ${withFlags(flags, note)}`);
      console.log(options.json ? writeNumbers(details) : `${kind.inWords(metrics)}\n\n${inLines(metrics)}`);
      if (chart === undefined) return;
      await writeWhole(chart, kind.chart!(subject.adapter ?? subject.model, details));
    } finally {
      dispose(opened.params as Record<string, Tensor>);
    }
  }),
);
