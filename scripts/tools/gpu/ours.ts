/**
 * Measures our training step on a card: `ours.ts JOB`. Its first line says after how many seconds the first step was there;
 * it then waits for a line on standard input, so that others can be made ready without disturbing each other, and prints the
 * answer.
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
  type Params,
  partition,
  startResident,
  type Tensor,
  useBackend,
} from "../../../dsl/mod.ts";
import { openModel } from "../../../models/mod.ts";
import { taskStep } from "../../../tasks/kinds.ts";
import { type BatchTensors, trainStep } from "../../../tasks/mod.ts";
import { ALL, ROWS, rowsObjective } from "../../../tasks/trainer/on_device.ts";
import { example } from "../bench/example.ts";
import { deviceMemory } from "./device_memory.ts";
import type { CardAnswer, CardJob } from "./job.ts";
import { roughWeights } from "./weights.ts";

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Seconds since the start of this process, on standard error. */
const since = performance.now();
function note(line: string): void {
  console.error(`${((performance.now() - since) / 1000).toFixed(1)} s: ${line}`);
}

const job: CardJob = JSON.parse(Deno.args[0]);
const { engine } = await useBackend(job.backend ?? "tensorflow");
note(engine.device.text);
const model = await openModel(job.model);
const layer = adapt(joinMethods(job.method, model.family === "vit" ? ["head"] : []))(model.layer);
const { batch: types, objective } = taskStep(model, layer, job);
const params = init(layer, key(0), roughWeights(layer));
const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
const optimiser = adamw({ weightDecay: 0.01 });
note("weights");
const resident = startResident(
  trainStep(rowsObjective(objective), optimiser),
  { frozen, trained, optimiser: optimiser.init(trained) },
  {
    precision: job.precision,
    graph: job.how === "whole" ? "whole" : "clusters",
    onCompile: note,
    onFallback: (line) => {
      throw new Error(line);
    },
  },
);
/** The batch with its pictures as bytes of a table. */
function asBytes({ pixels, ...rest }: Params): Params {
  const [count, channels, height, width] = pixels.shape;
  const words = new Int32Array(count * channels * height * width / 4).map((_, i) => Math.imul(i, 0x9e3779b1));
  const table = Float32Array.from({ length: 256 * channels }, (_, i) => ((i & 255) / 255 - 0.5) / 0.5);
  return {
    ...rest,
    words: tf.tensor(words, [count, channels, height, width / 4], "int32"),
    table: tf.tensor2d(table, [channels, 256]),
  };
}

/** Pictures of the data set that stays on the card. */
const STAYING = 4096;

const made = mapTree(example)(types);
const given = job.what === "bytes" || job.what === "rows" ? asBytes(made) : made;
let staying: Params | undefined;
if (job.what === "rows") {
  const { words, ...rest } = given;
  const [count, ...shape] = words.shape;
  const all = new Int32Array(STAYING * words.size / count).map((_, i) => Math.imul(i, 0x9e3779b1));
  staying = { [`${ALL}words`]: tf.tensor(all, [STAYING, ...shape], "int32") };
  const rows = Int32Array.from({ length: count }, (_, i) => (i * 997) % STAYING);
  words.dispose();
  Object.assign(given, rest, { [ROWS]: tf.tensor1d(rows, "int32") });
  Reflect.deleteProperty(given, "words");
}
const batch = { ...given, rate: tf.scalar(1e-3) } as unknown as BatchTensors;
const losses = [(await resident.step(batch, staying)).loss];
const first = (performance.now() - since) / 1000;
note("first step");
console.log(JSON.stringify({ first }));
await Deno.stdin.read(new Uint8Array(1));
const timed = async (repeats: number, next: () => BatchTensors): Promise<number[]> => {
  const found: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const given = next();
    const started = performance.now();
    losses.push((await resident.step(given, staying)).loss);
    found.push(performance.now() - started);
  }
  return found;
};
await timed(3, () => batch);
const memory = job.what === "memory" ? deviceMemory() : undefined;
memory?.reset();
const counter = job.what === "kernels"
  ? Deno.dlopen(Deno.env.get("CUDA_INJECTION64_PATH")!, {
    kernels_start: { parameters: [], result: "void" },
    kernels_stop: { parameters: ["buffer"], result: "i32" },
  }).symbols
  : undefined;
counter?.kernels_start();
const held = await timed(job.repeats, () => batch);
counter?.kernels_stop(new TextEncoder().encode(`${Deno.args[1]}\0`));
const bytes = memory?.peak();
// The same numbers under another identity, as a loader brings them: nothing is on the card yet.
const values = mapTree((tensor: Tensor) => tensor.dataSync())(batch);
const fresh = (): BatchTensors =>
  mapTree((tensor: Tensor, path) => tf.tensor(values[path], tensor.shape, tensor.dtype))(batch) as BatchTensors;
const sent = job.what === undefined || job.what === "bytes" || job.what === "rows"
  ? median(await timed(Math.min(10, job.repeats), fresh))
  : undefined;
/** Steps whose batch was named to the step before, which sends it while it computes. */
const timedAhead = async (repeats: number): Promise<number[]> => {
  const found: number[] = [];
  let now = fresh();
  for (let i = 0; i <= repeats; i++) {
    const next = fresh();
    const started = performance.now();
    losses.push((await resident.step(now, staying, { batch: next, staying })).loss);
    // The first one's own batch was not sent before.
    if (i > 0) found.push(performance.now() - started);
    now = next;
  }
  return found;
};
const ahead = sent === undefined ? undefined : median(await timedAhead(Math.min(10, job.repeats)));
const answer: CardAnswer = {
  first,
  ms: median(held),
  least: Math.min(...held),
  sent,
  ahead,
  losses: losses.slice(0, 3),
  bytes,
};
console.log(JSON.stringify(answer));
Deno.exit(0);
