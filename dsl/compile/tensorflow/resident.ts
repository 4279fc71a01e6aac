/**
 * Steps whose state lives inside a TensorFlow session.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ELEMENT } from "../../engine/tensorflow_graph/graph.ts";
import { castHandle, lending, type Made, storedOf, tensorOf } from "../../engine/tensorflow_graph/session.ts";
import { collectGarbage } from "../../garbage.ts";
import { isOnGpu } from "../../engine/tensorflow.ts";
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import { firstLine } from "../../error.ts";
import type { Params } from "../../tree.ts";
import {
  batchSignature,
  type NextBatch,
  type PureStep,
  type Resident,
  type ResidentOptions,
  type StepState,
} from "../step.ts";
import { canFuse, fuseFromFor } from "./probe.ts";
import type { StepGraphOptions } from "./step_graph.ts";
import { StepSession } from "./step_session.ts";

/** Shorter runs are over before a whole step's compilation has paid. */
const LONG_RUN = 500;

/** Whether batches go as words. */
function goAsWords({ feed = "auto" }: ResidentOptions): boolean {
  return feed === "auto" ? isOnGpu() : feed === "words";
}

/** What the settings come to on this machine, for the first kind of batch or another: an epoch's last one comes rarely. */
function settle(options: ResidentOptions, isFirst: boolean): StepGraphOptions {
  const { precision = "float32", graph = "auto", steps = Infinity } = options;
  const isLong = isOnGpu() && isFirst && steps >= LONG_RUN;
  return {
    precision,
    fuseFrom: canFuse() ? options.fuseFrom ?? fuseFromFor(steps, isOnGpu()) : Infinity,
    whole: canFuse() && (graph === "auto" ? isLong : graph === "whole"),
    words: goAsWords(options),
  };
}

/** A tensor of the state: where it belongs, and what it is stored as. */
interface Leaf {
  readonly part: keyof StepState;
  readonly path: string;
  readonly tensor: tf.Tensor;
  readonly form: StoredForm | undefined;
}

function leavesOf(state: StepState): readonly Leaf[] {
  return (["frozen", "trained", "optimiser"] as const).flatMap((part) =>
    Object.entries(state[part]).map(([path, tensor]) => {
      // Only frozen weights are read as they are stored.
      return { part, path, tensor, form: part === "frozen" ? storedForm(tensor) : undefined };
    })
  );
}

/** What a session has for a leaf, as a tensor of the caller's. */
function ownTensor(made: Made, { form, tensor: { shape } }: Leaf): tf.Tensor {
  if (form !== undefined) return tf.keep(storedOf(made, form, shape));
  if (made.dtype !== ELEMENT.bfloat16) return tf.keep(tensorOf(made));
  return lending([made], ([handle]) => {
    const id = castHandle(handle, ELEMENT.bfloat16, ELEMENT.float32);
    return tf.keep(tensorOf({ ...made, dtype: ELEMENT.float32, id }));
  });
}

/** The state, all of it or some parts, from the session that holds it, or from its tensors before there is one. */
function readState(
  leaves: readonly Leaf[],
  session: StepSession | undefined,
  parts: readonly (keyof StepState)[] | undefined,
): StepState {
  const asked = leaves.flatMap(({ part }, i) => parts === undefined || parts.includes(part) ? [i] : []);
  const read = session === undefined
    ? asked.map((i) => tf.keep(tf.clone(leaves[i].tensor)))
    : session.fetch(asked).map((made, at) => ownTensor(made, leaves[asked[at]]));
  const state = { frozen: {}, trained: {}, optimiser: {} } as Record<keyof StepState, Record<string, tf.Tensor>>;
  asked.forEach((i, at) => state[leaves[i].part][leaves[i].path] = read[at]);
  return state;
}

/**
 * Starts a step whose state lives in a session. A session is opened when a batch of new types comes, and then takes
 * over the state; the frozen part is shared between sessions where TensorFlow computes on the CPU.
 *
 * @param step The pure step
 * @param state Where it starts
 * @param options See {@linkcode ResidentOptions}
 * @param fallback Runs the step instead if it cannot be made a graph; not for bf16
 */
export function startGraph<Batch extends Params>(
  step: PureStep<Batch>,
  state: StepState,
  options: ResidentOptions,
  fallback: (step: PureStep<Batch>, state: StepState) => Resident<Batch>,
): Resident<Batch> {
  const { precision = "float32", onFallback } = options;
  const leaves = leavesOf(state);
  const opened = new Map<string, StepSession>();
  let current: StepSession | undefined;
  let instead: Resident<Batch> | undefined;

  const openFor = (batch: Batch, staying: Params): StepSession => {
    // What reading and planning left.
    collectGarbage();
    const isStaying = Object.keys(batch).map((name) => name in staying);
    const settled = { ...settle(options, opened.size === 0), staying: isStaying };
    if (settled.whole) options.onCompile?.("compiling the step, which may take a minute the first time");
    return StepSession.open(step, state, batch, settled, current ?? leaves.map(({ tensor }) => tensor));
  };

  /** The session for a batch, holding the state; none if the step is replayed. */
  const sessionFor = (batch: Batch, staying: Params): StepSession | undefined => {
    const signature = batchSignature(batch, staying);
    const known = opened.get(signature);
    if (known !== undefined) {
      if (current !== undefined && current !== known) known.takeOver(current);
      return current = known;
    }
    try {
      current = openFor(batch, staying);
      opened.set(signature, current);
      return current;
    } catch (error) {
      const isUsedUp = leaves.some(({ tensor }) => tensor.isDisposed);
      if (current !== undefined || precision !== "float32" || isUsedUp) throw error;
      onFallback?.(`not run as one TensorFlow graph, but kernel by kernel: ${firstLine(error)}`);
      instead = fallback(step, state);
    }
  };

  /** The tensors of the next batch, if the session that is open is the one for it. */
  const ridingOf = (open: StepSession, { batch, staying = {} }: NextBatch): readonly tf.Tensor[] | undefined => {
    const next = { ...batch, ...staying };
    return opened.get(batchSignature(next, staying)) === open ? Object.values(next) : undefined;
  };

  return {
    step: async (given, staying = {}, next) => {
      const batch = { ...given, ...staying } as Batch;
      const open = instead === undefined ? sessionFor(batch, staying) : undefined;
      if (open === undefined) return instead!.step(batch);
      const riding = next && ridingOf(open, next);
      const [made] = open.send(Object.values(batch), [open.graph.metrics], riding).map(tensorOf);
      try {
        const numbers = await made.data();
        return Object.fromEntries(open.metrics.map((name, i) => [name, numbers[i]]));
      } finally {
        made.dispose();
      }
    },
    get sendsAhead() {
      return instead === undefined && goAsWords(options);
    },
    read: (parts) => instead === undefined ? readState(leaves, current, parts) : instead.read(parts),
    dispose: () => {
      instead?.dispose();
      for (const session of opened.values()) session.dispose();
      tf.dispose(leaves.map(({ tensor }) => tensor));
    },
  };
}
