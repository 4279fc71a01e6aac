/**
 * A step as the trainer takes it: the parts of a batch one after the other, timed, their numbers together.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Resident } from "../../dsl/compile/mod.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import { type BatchPart, type TaskBatch, weightedMean } from "./parts.ts";
import { type BatchTensors, free, type WholeStep } from "./step.ts";
import type { Stepper, Timed } from "./stepper.ts";

/** What a step is taken with. */
export interface AdvanceOptions {
  /** The step, on the engine. */
  readonly resident: Resident<BatchTensors>;
  /** Whether batches may come in several parts. */
  readonly inParts?: boolean;
  /** What a part needs to know of its whole step. */
  readonly join?: WholeStep["join"];
}

/**
 * Takes one step with a part of a batch and some scalars.
 *
 * @param resident The step, on the engine
 * @param part The part
 * @param scalars Numbers that are given besides its own tensors
 * @param seen Shown both before they are computed with
 * @param others Tensors that are given besides, and stay the caller's
 */
export async function advancePart(
  { step }: Resident<BatchTensors>,
  part: BatchPart,
  scalars: Tree<number>,
  seen: (batch: BatchTensors) => void = () => {},
  others: Params = {},
): Promise<Timed> {
  const given = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, tf.scalar(value)]));
  const tensors: BatchTensors = { ...part.tensors(), ...given };
  try {
    seen({ ...tensors, ...part.staying });
    const begun = performance.now();
    const numbers = await step({ ...tensors, ...others }, part.staying);
    return { numbers, seconds: (performance.now() - begun) / 1000 };
  } finally {
    free(tensors);
  }
}

/**
 * A step that one process takes alone.
 *
 * @param options See {@linkcode AdvanceOptions}
 */
export function aloneStepper(options: AdvanceOptions): Stepper {
  return {
    advance: (batch, rates, seen) => advance(batch, rates, options, seen),
    read: () => options.resident.read(),
    [Symbol.dispose]: () => options.resident.dispose(),
  };
}

async function advance(
  { parts }: TaskBatch,
  rates: Tree<number>,
  { resident, inParts, join }: AdvanceOptions,
  seen: (batch: BatchTensors) => void,
): Promise<Timed> {
  const measured: Timed[] = [];
  if (join !== undefined && parts.length > 1) {
    for (const part of parts) measured.push(await advancePart(resident, part, {}));
  }
  const whole = join === undefined || measured.length === 0 ? {} : join(measured.map(({ numbers }) => numbers));
  // Equal parts weigh 1, which leaves their gradients as they are.
  const mean = parts.reduce((sum, { counted }) => sum + counted, 0) / parts.length;
  const taken: (Timed & { readonly counted: number })[] = [];
  for (const [i, part] of parts.entries()) {
    const place: Tree<number> = inParts
      ? { partWeight: part.counted / mean, lastPart: i === parts.length - 1 ? 1 : 0 }
      : {};
    const done = await advancePart(resident, part, { ...rates, ...whole, ...place }, seen);
    taken.push({ ...done, counted: part.counted });
    if (!Number.isFinite(done.numbers.loss)) break;
  }
  const seconds = [...measured, ...taken].reduce((sum, each) => sum + each.seconds, 0);
  return { numbers: weightedMean(taken), seconds };
}
