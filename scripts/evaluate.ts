/**
 * `deno task evaluate`: metrics of a model on test data, with or without an adapter.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { OneloraError, useBackend } from "../dsl/mod.ts";
import type { Model } from "../models/mod.ts";
import { type ClassificationMetrics, evaluateClassifier, openImageData, squareImages } from "../tasks/mod.ts";
import { attempt } from "./cli/attempt.ts";
import { boolean, integer, main, type Options, text } from "./cli/mod.ts";
import { openNoting } from "./opened.ts";
import { backendFlag, dataHelp, readRun, trainedFlags, usage } from "./options.ts";

const flags = {
  run: text({ help: "Folder of a training run, for its model, adapter and data", value: "DIR" }),
  ...trainedFlags,
  data: text({ help: dataHelp, value: "DATA" }),
  limit: integer({ help: "Use only so many test examples", min: 1 }),
  ...backendFlag,
  json: boolean({ help: "Print JSON, with confusion matrix, reliability diagram and error histogram" }),
};

/** What to evaluate, and on what. */
interface Subject extends Pick<Options<typeof flags>, "adapter" | "limit" | "backend"> {
  readonly model: string;
  readonly data: string;
  readonly seed?: number;
}

async function subjectOf(options: Options<typeof flags>, given: ReadonlySet<keyof typeof flags>): Promise<Subject> {
  const { run, model, data, adapter, limit, backend } = options;
  const allowed = "--run DIR, or --model NAME|DIR --data DATA";
  const misuse = (found: string) => usage("reading the command line", found, allowed);
  if (run === undefined) {
    if (model === undefined) throw misuse("neither --run nor --model");
    if (data === undefined) throw misuse("no --data");
    return { model, data, adapter, limit, backend };
  }
  if (model !== undefined || adapter !== undefined) {
    throw misuse(`--run beside --${model === undefined ? "adapter" : "model"}`);
  }
  const saved = await readRun(run);
  return {
    model: saved.model,
    adapter: `${run}/adapter`,
    data: data ?? saved.data,
    limit: limit ?? (data === undefined ? saved.limit : undefined),
    backend: given.has("backend") ? backend : saved.backend,
    seed: saved.seed,
  };
}

/** Classes are compared by number, so there must be as many; that they go by other names may be right, and is said. */
function checkClasses({ name, labels = [] }: Model, data: string, classes: readonly string[]): void {
  if (labels.length !== classes.length) {
    throw new OneloraError({
      attempted: `evaluating ${name} on ${data}`,
      found: `a model of ${labels.length} classes`,
      allowed: `one of the data's ${classes.length}: ${classes.slice(0, 20).join(", ")}`,
    });
  }
  const at = classes.findIndex((label, i) => label !== labels[i]);
  if (at >= 0) {
    console.error(`note: classes compared by number; ${at} is "${labels[at]}" to the model, "${classes[at]}" here`);
  }
}

function inWords({ count, accuracy, top5, loss, ece }: ClassificationMetrics): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  return [
    `accuracy  ${percent(accuracy)}`,
    `top 5     ${percent(top5)}`,
    `loss      ${loss.toFixed(4)}`,
    `ece       ${ece.toFixed(4)}`,
    `examples  ${count}`,
  ].join("\n");
}

await main(
  { name: "evaluate", summary: "Metrics of a model on test data, with or without an adapter.", flags },
  attempt(async ({ options, given }) => {
    const { model: name, adapter, data, limit, backend, seed } = await subjectOf(options, given);
    await useBackend(backend);
    const { test } = await openImageData(data);
    const { model, layer, params } = await openNoting(name, adapter, seed);
    checkClasses(model, data, test.classes);
    const metrics = await evaluateClassifier(layer, params, squareImages(model), test, limit);
    dispose(params as Record<string, Tensor>);
    console.log(options.json ? JSON.stringify(metrics) : inWords(metrics));
  }),
);
