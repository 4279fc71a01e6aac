/**
 * What a run of `train` on texts has learned from, step by step, for PyTorch to learn from too (`curve.py`):
 * `deno run -P=train scripts/tools/real/curve.ts RUN` writes `RUN/batches.json`.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { useBackend } from "../../../dsl/mod.ts";
import { openModel } from "../../../models/mod.ts";
import { readRunConfig } from "../../../tasks/mod.ts";
import { silent } from "../../../tasks/trainer/observe.ts";
import type { TaskBatch } from "../../../tasks/trainer/parts.ts";

const [folder] = Deno.args;
const { kind, run } = await readRunConfig(folder);
await useBackend("cpu");
const whole = await kind.openData(run.data, run);
const data = run.validation === undefined ? whole : kind.holdOut(whole, run.validation).training;
const { training } = await kind.open(run, { model: await openModel(run.model), data }, silent);

/** Ids and labels of a step, part by part. */
async function rows({ parts }: TaskBatch) {
  return await Promise.all(parts.map(async ({ tensors }) => {
    const { ids, labels, ...others } = await tensors();
    const found = { ids: await ids.array(), labels: await labels.array() };
    dispose({ ids, labels, ...others });
    return found;
  }));
}

const steps = [];
for await (const batch of training.batches({ epoch: 0, offset: 0 })) {
  if (steps.length === run.steps) break;
  steps.push(await rows(batch));
}
await Deno.writeTextFile(`${folder}/batches.json`, JSON.stringify(steps));
console.log(`${steps.length} steps`);
