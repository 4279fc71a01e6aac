/**
 * Measures a training step, a forward pass or decoding of a model of any family: `family.ts JOB`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../../adapters/mod.ts";
import {
  adamw,
  compile,
  isTrainable,
  key,
  mapTree,
  type Params,
  partition,
  startResident,
  type Tensor,
  useBackend,
} from "../../../dsl/mod.ts";
import { likelyTokens, openDecoder } from "../../../models/llama/decoder.ts";
import type { TextTokenizer } from "../../../models/llama/text_tokenizer.ts";
import { openTokenizer } from "../../../models/llama/tokenizer.ts";
import { asLanguageModel, loadParams, openModel } from "../../../models/mod.ts";
import { type BatchTensors, trainStep } from "../../../tasks/mod.ts";
import { taskStep } from "../../../tasks/kinds.ts";
import { example } from "./example.ts";
import { type FamilyJob, readings } from "./family_job.ts";
import { answer, measureStep, type ReadyStep, type StepAnswer } from "./job.ts";
import { randomParams } from "./random_weights.ts";

/** Tokens that are to come. */
const TOKENS = 256;

/** Those that were opened, which stay. */
const tokenizers: TextTokenizer[] = [];

async function prepare(job: FamilyJob, note: (line: string) => void): Promise<ReadyStep> {
  const { model, what, method, precision, rate, weightDecay } = job;
  const described = await openModel(model);
  const layer = adapt(method)(described.layer);
  const { batch: types, objective } = taskStep(described, layer, job);
  const batch = mapTree(example)(types);
  // As it is there in every command.
  if (job.length > 0 && described.folder !== undefined) tokenizers.push(await openTokenizer(described.folder));
  const params = described.folder === undefined
    ? randomParams(layer, job)
    : (await loadParams(described, key(0), layer, { ...job, reading: readings[what] })).params;
  if (what === "decode") {
    const decoder = openDecoder(asLanguageModel(described, layer), params, { precision });
    const prompts = Array.from({ length: job.batch }, () => Array.from({ length: job.length }, (_, i) => i % 8));
    let begun = false;
    return async () => {
      const logits = begun
        ? await decoder.next(prompts.map(() => 1))
        : await decoder.begin(prompts, Math.min(TOKENS, likelyTokens(job.batch)));
      begun = true;
      return logits[0];
    };
  }
  if (what === "forward") {
    const forward = compile((all: Params, given: Params) => ({ loss: objective(all, given).loss }), { graph: true });
    return async () => {
      const { loss } = forward(params, batch);
      const [value] = await loss.data();
      loss.dispose();
      return value;
    };
  }
  const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
  const optimiser = adamw({ weightDecay });
  const resident = startResident(
    trainStep(objective, optimiser),
    { frozen, trained, optimiser: optimiser.init(trained) },
    { precision, onFallback: note },
  );
  const tensors = { ...batch, rate: tf.scalar(rate) } as unknown as BatchTensors;
  return async () => (await resident.step(tensors)).loss;
}

await answer(async (job: FamilyJob): Promise<StepAnswer> => {
  const { tried } = await useBackend(job.backend, job.threads === undefined ? {} : { threads: job.threads });
  const remarks: string[] = [tried[0].why];
  const measured = await measureStep(tried[0].why, job, () => prepare(job, (line) => remarks.push(line)));
  return { ...measured, engine: remarks.join("; ") };
});
