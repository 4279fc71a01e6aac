/**
 * Measures our training step, as the trainer runs it: `ours.ts JOB`, or its kernels one by one: `ours.ts JOB profile`.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import {
  adamw,
  compile,
  isTrainable,
  key,
  partition,
  planMemory,
  productFlops,
  type Tensor,
  useBackend,
} from "../../dsl/mod.ts";
import { loadParams, type Model, openModel, vitFamily } from "../../models/mod.ts";
import { classificationObjective, trainStep } from "../../tasks/mod.ts";
import type { TrainState, TrainStep } from "../../tasks/mod.ts";
import { answer, exampleBatch, measureStep, type ReadyStep, type StepAnswer, type StepJob } from "./job.ts";
import { type KernelShare, profileKernels, type Profiling } from "./profile.ts";

/** Our measured step; what is predicted of it is there too. */
export interface OurAnswer extends StepAnswer {
  /** Floating-point operations of the step's matrix products. */
  readonly productFlops: number;
  /** Peak bytes of tensors that the program predicts. */
  readonly plannedBytes: number;
  /** The kernels of one step, in a profile. */
  readonly kernels?: readonly KernelShare[];
}

/** A step and what its program says. */
interface Prepared {
  readonly step: ReadyStep;
  readonly productFlops: number;
  readonly plannedBytes: number;
}

/** The model: with the folder's weights, or of the configuration alone. */
async function modelOf({ config, folder }: StepJob): Promise<Model> {
  return folder === undefined ? { ...vitFamily.read(config, {}), name: "configuration" } : await openModel(folder);
}

async function prepare(job: StepJob): Promise<Prepared> {
  const model = await modelOf(job);
  const layer = adapt(job.method.includes("head") ? job.method : `${job.method}+head`)(model.layer);
  const { params } = await loadParams(model, key(0), layer);
  const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
  const optimiser = adamw({ weightDecay: job.weightDecay });
  const step = compile(trainStep(classificationObjective(layer), optimiser));
  let state: TrainState = { frozen, trained, optimiser: optimiser.init(trained) };
  const { pixels, shape, labels } = exampleBatch(job);
  const batch = () => ({
    pixels: tf.tensor4d(pixels, [...shape]),
    labels: tf.tensor1d(labels, "int32"),
    rate: tf.scalar(job.rate),
  });
  const first = batch();
  const program = step.program(state, first);
  tf.dispose(first);
  return {
    productFlops: productFlops(program),
    plannedBytes: planMemory(program).peakBytes,
    step: async () => {
      const tensors = batch();
      const [next, metrics] = tf.tidy(() =>
        step(state, tensors) as unknown as tf.TensorContainer
      ) as unknown as ReturnType<TrainStep>;
      const [loss] = await metrics.loss.data();
      tf.dispose([tensors, metrics]);
      tf.dispose([state.trained, state.optimiser] as tf.TensorContainer);
      state = next;
      return loss;
    },
  };
}

await answer(async (job: StepJob): Promise<OurAnswer> => {
  const { tried } = await useBackend(job.backend);
  let profiling: Profiling | undefined;
  if (Deno.args[1] === "profile") profiling = profileKernels();
  let prepared: Prepared | undefined;
  const measured = await measureStep(tried[0].why, job, async () => {
    prepared = await prepare(job);
    return async () => {
      profiling?.reset();
      return await prepared!.step();
    };
  });
  const { productFlops, plannedBytes } = prepared!;
  return { ...measured, productFlops, plannedBytes, kernels: profiling?.shares() };
});
