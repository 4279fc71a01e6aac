/**
 * Measures our training step, as the trainer runs it: `ours.ts JOB`, or its kernels one by one: `ours.ts JOB profile`.
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
  partition,
  type Precision,
  startResident,
  type Tensor,
  useBackend,
} from "../../../dsl/mod.ts";
import { planMemory, productFlops } from "../../../dsl/compile/program.ts";
import { loadParams, type Model, modelOf as describedModel, openModel } from "../../../models/mod.ts";
import { vitFamily } from "../../../models/vit/vit.ts";
import {
  type BatchTensors,
  classificationObjective,
  type TrainState,
  type TrainStep,
  trainStep,
} from "../../../tasks/mod.ts";
import { randomParams } from "./random_weights.ts";
import { answer, exampleBatch, measureStep, type ReadyStep, type StepAnswer, type StepJob } from "./job.ts";
import { type KernelShare, profileKernels, type Profiling } from "./profile.ts";

/** Our measured step; what is predicted of it is there too. */
export interface OurAnswer extends StepAnswer {
  /** Floating-point operations of the step's matrix products. */
  readonly productFlops: number;
  /** Peak bytes of tensors that the program predicts. */
  readonly plannedBytes: number;
  /** Whether a card computed it. */
  readonly onCard: boolean;
  /** The kernels of one step, in a profile. */
  readonly kernels?: readonly KernelShare[];
}

/** The model: with the folder's weights, or of the configuration alone. */
async function modelOf({ config, folder }: StepJob): Promise<Model> {
  return folder === undefined
    ? describedModel(vitFamily.read(config, {}), { name: "configuration" })
    : await openModel(folder);
}

/** A model under training, and the pure step that trains it. */
interface Training {
  readonly step: TrainStep;
  readonly state: TrainState;
  readonly batch: () => BatchTensors;
}

async function training(job: StepJob): Promise<Training> {
  const model = await modelOf(job);
  const layer = adapt(`${job.method}+head`)(model.layer);
  const params = job.folder === undefined ? randomParams(layer, {}) : (await loadParams(model, key(0), layer)).params;
  const { kept: trained, rest: frozen } = partition<Tensor>(isTrainable(layer))(params);
  const optimiser = adamw({ weightDecay: job.weightDecay });
  const { pixels, shape, labels } = exampleBatch(job);
  return {
    step: trainStep(classificationObjective(layer), optimiser),
    state: { frozen, trained, optimiser: optimiser.init(trained) },
    batch: () => ({
      pixels: tf.tensor4d(pixels, [...shape]),
      labels: tf.tensor1d(labels, "int32"),
      rate: tf.scalar(job.rate),
    }),
  };
}

/** As training runs it; tells why, where that is not as one graph although it could be. */
function resident(
  { step, state, batch }: Training,
  precision: Precision,
  onFallback: (line: string) => void,
): ReadyStep {
  const started = startResident(step, state, { precision, onFallback });
  return async () => {
    const tensors = batch();
    const { loss } = await started.step(tensors);
    tf.dispose(tensors as tf.TensorContainer);
    return loss;
  };
}

/** Kernel by kernel, whatever the backend; from the same state every time. */
function replayed({ step, state, batch }: Training, profiling: Profiling): ReadyStep {
  const compiled = compile(step);
  return async () => {
    profiling.reset();
    const tensors = batch();
    const [next, { loss }] = tf.tidy(() =>
      compiled(state, tensors) as unknown as tf.TensorContainer
    ) as unknown as ReturnType<TrainStep>;
    const [value] = await loss.data();
    tf.dispose([tensors, loss, next.trained, next.optimiser] as tf.TensorContainer);
    return value;
  };
}

/** What is known of a step before it runs. */
function predicted({ step, state, batch }: Training): Pick<OurAnswer, "productFlops" | "plannedBytes"> {
  const compiled = compile(step);
  const tensors = batch();
  const program = compiled.program(state, tensors);
  compiled.dispose();
  tf.dispose(tensors as tf.TensorContainer);
  return { productFlops: productFlops(program), plannedBytes: planMemory(program).peakBytes };
}

await answer(async (job: StepJob): Promise<OurAnswer> => {
  const { tried, engine } = await useBackend(job.backend);
  const profiling = Deno.args[1] === "profile" ? profileKernels() : undefined;
  let prediction: ReturnType<typeof predicted> | undefined;
  const remarks: string[] = [tried[0].why];
  const measured = await measureStep(tried[0].why, job, async () => {
    const prepared = await training(job);
    prediction = predicted(prepared);
    return profiling === undefined
      ? resident(prepared, job.precision, (line) => remarks.push(line))
      : replayed(prepared, profiling);
  });
  return {
    ...measured,
    engine: remarks.join("; "),
    ...prediction!,
    onCard: engine.device.kind === "gpu",
    kernels: profiling?.shares(),
  };
});
