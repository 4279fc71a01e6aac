/**
 * A step as the trainer takes it: the parts of a batch one after the other, timed, their numbers together.
 *
 * @module
 */
import type { Resident } from "../../dsl/compile/mod.ts";
import type { Params, Tree } from "../../dsl/tree.ts";
import { type GivenPart, type PartTensors, partTensors } from "./coming.ts";
import { meanCounted, numbersOf, type TaskBatch } from "./parts.ts";
import { type BatchTensors, free, type WholeStep } from "./step.ts";
import type { NextStep, Stepper, Timed } from "./stepper.ts";

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
 * @param given The part, and numbers that are given besides its own tensors
 * @param seen Shown both before they are computed with
 * @param others Tensors that are given besides, and stay the caller's
 * @param tensors Makes the part's
 * @param next What the next step will be given, if that is known
 */
export async function advancePart(
  { step }: Resident<BatchTensors>,
  given: GivenPart,
  seen: (batch: BatchTensors) => void = () => {},
  others: Params = {},
  tensors: PartTensors = partTensors(),
  next?: GivenPart,
): Promise<Timed> {
  const { part: { staying } } = given;
  const own = tensors.take(given);
  try {
    seen({ ...own, ...staying });
    const coming = next && { batch: tensors.ahead(next), staying: next.part.staying };
    const begun = performance.now();
    const numbers = await step({ ...own, ...others }, staying, coming);
    return { numbers, seconds: (performance.now() - begun) / 1000 };
  } finally {
    free(own);
  }
}

/**
 * A step that one process takes alone.
 *
 * @param options See {@linkcode AdvanceOptions}
 */
export function aloneStepper(options: AdvanceOptions): Stepper {
  const tensors = partTensors();
  const { resident } = options;
  return {
    get looksAhead() {
      return resident.sendsAhead === true;
    },
    advance: (batch, rates, seen, next) => advance(batch, rates, options, seen, tensors, next),
    read: () => resident.read(),
    [Symbol.dispose]: () => {
      tensors[Symbol.dispose]();
      resident.dispose();
    },
  };
}

/** What a step is given with a part of a batch. */
function givenPart({ parts }: TaskBatch, i: number, numbers: Tree<number>, inParts: boolean = false): GivenPart {
  if (!inParts) return { part: parts[i], scalars: numbers };
  const place = { counted: meanCounted(parts), partWeight: 1, lastPart: i === parts.length - 1 ? 1 : 0 };
  return { part: parts[i], scalars: { ...numbers, ...place } };
}

async function advance(
  batch: TaskBatch,
  rates: Tree<number>,
  { resident, inParts, join }: AdvanceOptions,
  seen: (batch: BatchTensors) => void,
  tensors: PartTensors,
  next: NextStep | undefined,
): Promise<Timed> {
  const { parts } = batch;
  const isMeasured = (of: TaskBatch) => join !== undefined && of.parts.length > 1;
  const measured: Timed[] = [];
  if (isMeasured(batch)) {
    for (const part of parts) measured.push(await advancePart(resident, { part, scalars: {} }));
  }
  const whole = join === undefined || measured.length === 0 ? {} : join(measured.map(({ numbers }) => numbers));
  const givenAt = (i: number) => givenPart(batch, i, { ...rates, ...whole }, inParts);
  const first = next === undefined || isMeasured(next.batch)
    ? undefined
    : givenPart(next.batch, 0, next.rates, inParts);
  const taken: (Timed & { readonly counted: number })[] = [];
  for (const [i, { counted }] of parts.entries()) {
    const following = i + 1 < parts.length ? givenAt(i + 1) : first;
    const coming = resident.sendsAhead ? following : undefined;
    const done = await advancePart(resident, givenAt(i), seen, {}, tensors, coming);
    taken.push({ ...done, counted });
    if (!Number.isFinite(done.numbers.loss)) break;
  }
  const seconds = [...measured, ...taken].reduce((sum, each) => sum + each.seconds, 0);
  return { numbers: numbersOf(taken), seconds };
}
