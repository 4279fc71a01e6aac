/**
 * Steps that several processes take together: each computes the gradient of its share of a batch's parts, all add them up,
 * and every one makes the same update.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { type Resident, type ResidentOptions, startResident } from "../../dsl/compile/mod.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { storedForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import { builtin } from "../../dsl/host.ts";
import { addInPairs, fromFirst, gatherValues, type Ranks } from "../../dsl/ranks.ts";
import { type Params, sizeOf, type Tree } from "../../dsl/tree.ts";
import { advancePart } from "./advance.ts";
import { meanCounted, numbersOf, type TaskBatch } from "./parts.ts";
import type { Progress } from "./progress.ts";
import { ownParts } from "./shares.ts";
import { type BatchTensors, free, MOVING, type StepHalves, type TrainState, type WholeStep } from "./step.ts";
import type { Stepper, Timed } from "./stepper.ts";

/** Steps after which all compare what they have. */
const COMPARED_EVERY = 50;
/** Numbers of a frozen tensor that are compared at the start. */
const COMPARED = 256;

/** What a shared step is taken with. */
export interface SharedOptions {
  /** The processes. */
  readonly ranks: Ranks;
  /** The halves of the step. */
  readonly halves: StepHalves;
  /** What a part needs to know of its whole step. */
  readonly join?: WholeStep["join"];
  /** Whether what they come to is the same however many there are. */
  readonly isInvariant?: boolean;
  /** How the halves are run. */
  readonly options: ResidentOptions;
}

function differing(what: string): OneloraError {
  return new OneloraError({
    attempted: "training with several processes",
    found: `${what} that are not the same in all of them`,
    allowed: "the same files, settings, versions and engine everywhere",
  });
}

/** Refuses processes that give different values. */
async function compare(ranks: Ranks, what: string, value: string): Promise<void> {
  const all = await gatherValues(ranks, value);
  if (all.some((each) => each !== all[0])) throw differing(what);
}

/** SHA-256 of the numbers of tensors, in the order of their names, or of the first of each; of stored ones only what they are. */
async function digest(tensors: Params, most: number = Infinity): Promise<string> {
  const sum = builtin("node:crypto").createHash("sha256");
  for (const path of Object.keys(tensors).sort()) {
    const tensor = tensors[path];
    const form = storedForm(tensor);
    if (form !== undefined) {
      sum.update(`${path} ${form} ${tensor.shape}`);
      continue;
    }
    const some = tensor.size <= most ? undefined : tf.tidy(() => tf.slice(tf.reshape(tensor, [-1]), 0, most));
    const values = await (some ?? tensor).data();
    some?.dispose();
    sum.update(path);
    sum.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return sum.digest("hex");
}

/** Numbers of tensors one after the other. */
async function flat(tensors: Params): Promise<Float32Array> {
  const all = new Float32Array(Object.values(tensors).reduce((sum, { size }) => sum + size, 0));
  let at = 0;
  for (const tensor of Object.values(tensors)) {
    all.set(await tensor.data(), at);
    at += tensor.size;
  }
  return all;
}

/** Tensors of the shapes of others, from {@linkcode flat} numbers. */
function unflat(all: Float32Array, like: Params): Params {
  let at = 0;
  return Object.fromEntries(
    Object.entries(like).map(([path, { shape, size }]) => {
      const values = all.slice(at, at += size);
      return [path, tf.keep(tf.tensor(values, shape))];
    }),
  );
}

/**
 * What moves in the first process's state, for all of them.
 *
 * @param ranks The processes
 * @param state This one's; what gives way is disposed
 */
export async function movingOfFirst(ranks: Ranks, state: TrainState): Promise<TrainState> {
  const moving = async (tree: Params) => {
    const bytes = ranks.rank === 0 ? new Uint8Array((await flat(tree)).buffer) : new Uint8Array();
    const all = await ranks.broadcast(bytes);
    if (ranks.rank === 0) return tree;
    const made = unflat(new Float32Array(all.slice().buffer), tree);
    free(tree);
    return made;
  };
  return { ...state, trained: await moving(state.trained), optimiser: await moving(state.optimiser) };
}

/**
 * The first process's state and progress, for all of them; the state of a run that begins is compared.
 *
 * @param ranks The processes
 * @param state This one's
 * @param progress This one's
 */
export async function sharedState(
  ranks: Ranks,
  state: TrainState,
  progress: Progress,
): Promise<readonly [TrainState, Progress]> {
  await compare(ranks, "engines", engineInUse().name);
  await compare(ranks, "weights", await digest(state.frozen, COMPARED));
  const reached = await fromFirst(ranks, () => Promise.resolve(progress));
  if (reached.step > 0) return [await movingOfFirst(ranks, state), reached];
  await compare(ranks, "trained parameters", await digest(state.trained));
  return [state, reached];
}

/** What a process says of its share of a step. */
interface Share {
  /** Which batch it was of. */
  readonly batch: readonly [epoch: number, offset: number, counted: number];
  /** Its parts, of which a small batch may have none for it. */
  readonly parts: readonly { readonly part: number; readonly counted: number; readonly numbers: Tree<number> }[];
}

/**
 * A step that several processes take together, or one as several do. Each has some of a batch's parts; a part's loss is divided by
 * what parts count on average, so that the mean of their gradients is that of the whole batch, however uneven the shares are. Where
 * parts are shares of a step's sums, two or four processes come to the very numbers of one with the whole batch, as far as an engine
 * computes an example alike in batches of any size; where they are the same in any case, so is what they come to.
 *
 * @param state Where it starts, the same in all; its tensors are no longer the caller's
 * @param shared See {@linkcode SharedOptions}
 */
export function sharedStepper({ frozen, trained, optimiser }: TrainState, shared: SharedOptions): Stepper {
  const { ranks, halves, join, options, isInvariant = false } = shared;
  const count = Object.values(trained).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const gradient: Resident<BatchTensors> = startResident(
    halves.gradient,
    { frozen, trained: {}, optimiser: { gradient: tf.keep(tf.zeros([count])) } },
    options,
  );
  const update: Resident<BatchTensors> = startResident(halves.update, { frozen: {}, trained, optimiser }, options);
  let steps = 0;

  /** What all parts together tell each. */
  const wholeOf = async ({ parts }: TaskBatch, moving: Params): Promise<readonly [Tree<number>, seconds: number]> => {
    if (join === undefined || parts.length === 1) return [{}, 0];
    const own: (readonly [part: number, numbers: Tree<number>])[] = [];
    let seconds = 0;
    const [begin, end] = ownParts(parts.length, ranks, isInvariant);
    for (let i = begin; i < end; i++) {
      const measured = await advancePart(gradient, { part: parts[i], scalars: {} }, undefined, moving);
      own.push([i, measured.numbers]);
      seconds += measured.seconds;
    }
    const all = (await gatherValues(ranks, own)).flat().sort(([a], [b]) => a - b);
    return [join(all.map(([, numbers]) => numbers)), seconds];
  };

  const advance: Stepper["advance"] = async (batch, rates, seen) => {
    const { parts, next } = batch;
    const total = parts.reduce((sum, { counted }) => sum + counted, 0);
    const read = update.read(["trained"]).trained;
    const moving = Object.fromEntries(Object.entries(read).map(([path, tensor]) => [`${MOVING}${path}`, tensor]));
    const mean = meanCounted(parts);
    const taken: (Timed & Share["parts"][number])[] = [];
    const own = ownParts(parts.length, ranks, isInvariant);
    let measuring = 0;
    let sum: Float32Array | undefined;
    try {
      const [whole, seconds] = await wholeOf(batch, moving);
      measuring = seconds;
      const gradientOf = async (part: number) => {
        const { counted } = parts[part];
        const given = { part: parts[part], scalars: { ...whole, counted: mean } };
        const done = await advancePart(gradient, given, seen, moving);
        taken.push({ ...done, part, counted });
        return Number.isFinite(done.numbers.loss) ? await found(gradient) : undefined;
      };
      sum = own[0] === own[1] ? new Float32Array(count) : await addInPairs(own, gradientOf);
    } finally {
      free(moving);
    }
    const begun = performance.now();
    const computing = taken.reduce((sum, { seconds }) => sum + seconds, measuring);
    const shares = await gatherValues<Share>(ranks, {
      batch: [next.epoch, next.offset, total],
      parts: taken.map(({ part, counted, numbers }) => ({ part, counted, numbers })),
    });
    if (shares.some(({ batch }) => `${batch}` !== `${shares[0].batch}`)) throw differing("batches");
    const numbers = numbersOf(shares.flatMap(({ parts }) => parts).sort((a, b) => a.part - b.part));
    if (Number.isFinite(numbers.loss)) {
      await ranks.sum(sum!);
      const tensors: Params = {
        sum: tf.tensor1d(sum!),
        weights: tf.scalar(parts.length),
        ...Object.fromEntries(Object.entries(rates).map(([name, value]) => [name, tf.scalar(value)])),
      };
      try {
        await update.step(tensors);
      } finally {
        free(tensors);
      }
      if (steps++ % COMPARED_EVERY === 0) {
        const now = update.read(["trained"]).trained;
        const found = await digest(now);
        free(now);
        await compare(ranks, "updated parameters", found);
      }
    }
    return { numbers, seconds: computing + (performance.now() - begun) / 1000 };
  };

  return {
    // The parameters that a gradient is taken of come by way of the processor: they are sent before every step anyway.
    looksAhead: false,
    advance,
    read: () => ({ ...update.read(), frozen: gradient.read(["frozen"]).frozen }),
    [Symbol.dispose]: () => {
      gradient.dispose();
      update.dispose();
    },
  };
}

/** The gradient that a first half has come to. */
async function found(half: Resident<BatchTensors>): Promise<Float32Array> {
  const { gradient } = half.read(["optimiser"]).optimiser;
  try {
    const values = await gradient.data() as Float32Array;
    // Not the engine's own memory, which is to be added up in.
    return values.slice();
  } finally {
    gradient.dispose();
  }
}
