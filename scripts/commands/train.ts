/**
 * `deno task train`: fine-tunes a pretrained model. Without flags: vit-micro on MNIST with 1LoRA, beside its head alone.
 *
 * @module
 */
import type { StepPlan } from "../../dsl/mod.ts";
import {
  fineTune,
  type Reporter,
  type RunResult,
  type TaskKind,
  taskKind,
  type TaskName,
  taskNames,
} from "../../tasks/mod.ts";
import { taskMeant } from "../../tasks/fine_tune/asked.ts";
import { attempt } from "../cli/attempt.ts";
import { showTransfers } from "../cli/fetched.ts";
import { joined } from "../cli/joined.ts";
import { main, type Options } from "../cli/mod.ts";
import { bytesText } from "./params/plan.ts";
import { ownFlags, ownOptions, trainFlags } from "../cli/options.ts";
import { reporterFor } from "../cli/run_folder.ts";
import { interruptible } from "../cli/signals.ts";

function resultLine(name: string, { inWords }: TaskKind, { metrics, parameters, stepSeconds }: RunResult): string {
  const count = (numbers: number) => numbers.toLocaleString("en-US");
  const head = parameters.head > 0 ? ` + ${count(parameters.head)} in the head` : "";
  const counts = `${count(parameters.adapter)} trainable${head}`;
  return `${name.padEnd(12)} ${inWords(metrics)}  ${counts}  ${(stepSeconds * 1000).toFixed(0)} ms a step`;
}

function planLine({ peakBytes, processBytes, atPeak }: StepPlan): string {
  const unpacked = atPeak.unpacked === 0 ? "" : `, ${bytesText(atPeak.unpacked)} of weights made into numbers`;
  return `a step needs ${bytesText(peakBytes)} by plan, ${bytesText(processBytes)} with the process: ${
    bytesText(atPeak.frozen + atPeak.trained)
  } of parameters, ` +
    `${bytesText(atPeak.optimiser + atPeak.gradients + atPeak.next)} of gradients and optimiser, ` +
    `${bytesText(atPeak.activations + atPeak.batch + atPeak.constants)} of activations${unpacked}`;
}

/** The task that was named, or the one that is meant, which is said where it is not the first. */
async function kindFor(options: Options<typeof trainFlags>, isFirst: boolean): Promise<TaskKind> {
  if (options.task !== undefined) return taskKind(options.task);
  const { model, data, from } = options;
  const kind = await taskMeant({ model, data, from, hub: { onProgress: showTransfers() } });
  if (isFirst && kind.name !== taskNames[0]) console.error(`task ${kind.name}, by the data and the model`);
  return kind;
}

await main(
  { name: "train", summary: "Fine-tunes a pretrained model with a very-low-rank adapter.", flags: trainFlags },
  attempt(({ options, given }) =>
    joined(
      `\`resume: ${options.resume ?? options.out ?? "DIR"}\` continues from the last checkpoint`,
      async ({ ranks }) => {
        const isNew = options.resume === undefined;
        const all = ownFlags();
        // A new run takes its task's own flags alone: others may be given at their defaults.
        const spoken = Object.fromEntries(
          Object.entries(options).filter(([name]) =>
            given.has(name as keyof typeof options) && !(isNew && Object.hasOwn(all, name))
          ),
        );
        let drawn: Reporter | undefined;
        const { signal, during, listen } = interruptible(undefined, ranks.rank === 0);
        // Only the first one shows its steps, from which on it listens.
        if (ranks.rank > 0) await listen();
        const meant = isNew ? await kindFor(options, ranks.rank === 0) : undefined;
        using tuned = await fineTune({
          ...spoken,
          ...meant === undefined ? {} : {
            ...ownOptions(meant, options, given),
            ...{ task: meant.name as TaskName, out: options.out ?? { under: "runs" } },
          },
          backend: isNew || given.has("backend") ? options.backend : undefined,
          hub: { onProgress: showTransfers() },
          signal,
          // The comparison that shows what the adapter is for, made only where nobody asked for anything else.
          baseline: [...given].every((name) => name === "task" || name === "backend"),
          reporter: (label) => drawn = during(reporterFor(label)),
          onPlan: (plan) => drawn?.line(planLine(plan)),
        });
        if (ranks.rank > 0) return;
        const kind = taskKind(tuned.task);
        if (tuned.baseline !== undefined) console.log(resultLine(kind.baseline.name, kind, tuned.baseline));
        console.log(resultLine(tuned.run.adapter, kind, tuned));
        console.log(`run folder: ${tuned.out} (report.html shows it)`);
      },
    )
  ),
);
