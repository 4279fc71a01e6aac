/**
 * Measures our training step on a card: `ours.ts JOB`, the last line printed is the answer.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../../adapters/mod.ts";
import { joinMethods } from "../../../adapters/spec.ts";
import {
  adamw,
  init,
  isTrainable,
  key,
  mapTree,
  partition,
  startResident,
  type Tensor,
  useBackend,
} from "../../../dsl/mod.ts";
import { openModel } from "../../../models/mod.ts";
import { type BatchTensors, trainStep } from "../../../tasks/mod.ts";
import { taskStep } from "../../../tasks/kinds.ts";
import { example } from "../bench/example.ts";
import type { CardAnswer, CardJob } from "./job.ts";

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const job: CardJob = JSON.parse(Deno.args[0]);
const began = performance.now();
const { engine } = await useBackend("tensorflow");
console.error(engine.device.text);
const model = await openModel(job.model);
const layer = adapt(joinMethods(job.method, model.family === "vit" ? ["head"] : []))(model.layer);
const { batch: types, objective } = taskStep(model, layer, job);
const params = init(layer, key(0));
const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
const optimiser = adamw({ weightDecay: 0.01 });
const resident = startResident(
  trainStep(objective, optimiser),
  { frozen, trained, optimiser: optimiser.init(trained) },
  {
    precision: job.precision,
    graph: job.how === "whole" ? "whole" : "clusters",
    onFallback: (line) => {
      throw new Error(line);
    },
  },
);
const batch = { ...mapTree(example)(types), rate: tf.scalar(1e-3) } as unknown as BatchTensors;
const losses = [(await resident.step(batch)).loss];
const first = (performance.now() - began) / 1000;
const timed = async (repeats: number, next: () => BatchTensors): Promise<number[]> => {
  const found: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const given = next();
    const started = performance.now();
    losses.push((await resident.step(given)).loss);
    found.push(performance.now() - started);
  }
  return found;
};
await timed(3, () => batch);
const held = await timed(job.repeats, () => batch);
// The same numbers under another identity, as a loader brings them: nothing is on the card yet.
const values = mapTree((tensor: Tensor) => tensor.dataSync())(batch);
const fresh = (): BatchTensors =>
  mapTree((tensor: Tensor, path) => tf.tensor(values[path], tensor.shape, tensor.dtype))(batch) as BatchTensors;
const sent = await timed(Math.min(10, job.repeats), fresh);
const answer: CardAnswer = {
  first,
  ms: median(held),
  least: Math.min(...held),
  sent: median(sent),
  losses: losses.slice(0, 3),
};
console.log(JSON.stringify(answer));
Deno.exit(0);
