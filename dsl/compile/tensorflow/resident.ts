/**
 * Steps whose state lives inside a TensorFlow session.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ELEMENT } from "../../engine/tensorflow_graph/graph.ts";
import {
  castHandle,
  freeHandle,
  type GraphSession,
  type Handle,
  handleOf,
  lending,
  type Made,
  openSession,
  storedOf,
  tensorOf,
} from "../../engine/tensorflow_graph/session.ts";
import { collectGarbage } from "../../garbage.ts";
import { isOnGpu } from "../../engine/tensorflow.ts";
import { storedForm } from "../../engine/stored.ts";
import { firstLine } from "../../error.ts";
import { flatten, type Params } from "../../tree.ts";
import type { NextBatch, PureStep, Resident, ResidentOptions, StepState } from "../step.ts";
import { trace } from "../trace.ts";
import { type StepGraph, stepGraph, type StepGraphOptions } from "./step_graph.ts";
import type { StepProgram } from "./step_program.ts";
import { type Sender, sender } from "./feed.ts";
import { withTensors } from "./large_constants.ts";
import { canFuse, fuseFromFor } from "./probe.ts";
import { preparing } from "./prepare.ts";

/** A session for batches of one signature. */
interface Open {
  /** What its batches are. */
  readonly signature: string;
  readonly session: GraphSession;
  readonly graph: StepGraph;
  readonly metrics: readonly string[];
  /** Sends a batch. */
  readonly send: Sender;
}

const tensorsOf = flatten((node): node is tf.Tensor => node instanceof tf.Tensor);

/** The step's program for a state and a batch. */
function programOf<Batch extends Params>(
  step: PureStep<Batch>,
  state: StepState,
  batch: Batch,
  { precision, whole }: Pick<StepGraphOptions, "precision" | "whole">,
): StepProgram & { readonly metrics: readonly string[] } {
  const [frozen, trained, optimiser] = [state.frozen, state.trained, state.optimiser].map(Object.keys);
  const given = tensorsOf([state, batch]);
  let metrics: readonly string[] = [];
  const traced = trace(
    (inputs) => {
      const [next, numbers] = step(...given.rebuild(inputs) as [StepState, Batch]);
      metrics = Object.keys(numbers);
      return [
        ...trained.map((name) => next.trained[name]),
        ...optimiser.map((name) => next.optimiser[name]),
        ...Object.values(numbers),
      ];
    },
    given.leaves.map(({ shape, dtype }) => ({ shape, dtype })),
    { precision, whole },
  );
  const moving = trained.length + optimiser.length;
  return {
    program: preparing(whole, precision)(traced),
    fixed: frozen.length,
    forms: Object.values(state.frozen).map(storedForm),
    moving,
    loss: moving + metrics.indexOf("loss"),
    metrics,
  };
}

function feeds(names: readonly string[], handles: readonly Handle[]): ReadonlyMap<string, Handle> {
  return new Map(names.map((name, i) => [name, handles[i]]));
}

/** Has a session take in state; in one run, since TensorFlow goes through the whole graph for each set of what is asked of it. */
function upload(
  { session, graph }: Open,
  state: Readonly<Partial<Record<"fixed" | "moving", readonly Handle[]>>>,
): void {
  const kinds = (["fixed", "moving"] as const).filter((kind) => state[kind] !== undefined);
  const names = kinds.flatMap((kind) => graph.uploads[kind]);
  const given = feeds(names, kinds.flatMap((kind) => state[kind]!));
  lending(session.run(given, kinds.map((kind) => graph.uploaded[kind])), () => {});
}

/** Shorter runs are over before a whole step's compilation has paid. */
const LONG_RUN = 500;

/** Names and types of a batch, and what of it stays. */
function signatureOf(batch: Params, staying: Params): string {
  return Object.entries(batch)
    .map(([name, { shape, dtype }]) => `${name} ${dtype} ${shape}${name in staying ? " stays" : ""}`).join();
}

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
  const { frozen, trained, optimiser } = state;
  const { leaves: tensors } = tensorsOf({ frozen, trained, optimiser });
  const places = (["frozen", "trained", "optimiser"] as const).flatMap((part) =>
    Object.keys(state[part]).map((path) => ({ part, path }))
  );
  const frozenCount = Object.keys(frozen).length;
  const forms = Object.values(frozen).map(storedForm);
  const opened = new Map<string, Open>();
  let current: Open | undefined;
  let instead: Resident<Batch> | undefined;

  const openFor = (batch: Batch, staying: Params, signature: string): Open => {
    // What reading and planning left.
    collectGarbage();
    const isStaying = Object.keys(batch).map((name) => name in staying);
    const settled = { ...settle(options, opened.size === 0), staying: isStaying };
    const prepared = programOf(step, { frozen, trained, optimiser }, batch, settled);
    const { program, dispose } = withTensors(prepared.program);
    const converted: Handle[] = [];
    let session: GraphSession | undefined;
    try {
      if (settled.whole) options.onCompile?.("compiling the step, which may take a minute the first time");
      const graph = stepGraph({ ...prepared, program }, settled);
      session = openSession(graph.graph);
      const open = { signature, graph, metrics: prepared.metrics, session, send: sender(session, graph.batch) };
      const inType = (tensor: tf.Tensor, i: number, form = storedForm(tensor)): Handle => {
        if (graph.fixedTypes[i] !== ELEMENT.bfloat16 || form !== undefined) return handleOf(tensor);
        converted.push(castHandle(handleOf(tensor), ELEMENT.float32, ELEMENT.bfloat16));
        return converted.at(-1)!;
      };
      const constants = [...program.constants.values()]
        .flatMap((constant) => constant.kind === "tensor" ? [constant.tensor] : [])
        .map((tensor, i) => inType(tensor, frozenCount + i));
      if (current === undefined) {
        // Tensor by tensor, so that there are never two copies of a whole model.
        const handles = tensors.slice(0, frozenCount).map((tensor, i) => {
          const before = converted.length;
          const handle = inType(tensor, i, forms[i]);
          if (converted.length > before) tensor.dispose();
          return handle;
        });
        upload(open, { fixed: [...handles, ...constants], moving: tensors.slice(frozenCount).map(handleOf) });
        tf.dispose([...tensors]);
      } else {
        const { session, graph: { values } } = current;
        const shared = values.fixed.slice(0, frozenCount);
        lending(
          // A run without anything to fetch is an error of TensorFlow's.
          shared.length === 0 ? [] : session.run(new Map(), shared),
          (handles) => upload(open, { fixed: [...handles, ...constants] }),
        );
        handOver(current, open);
      }
      return open;
    } catch (error) {
      session?.dispose();
      throw error;
    } finally {
      converted.forEach(freeHandle);
      dispose();
    }
  };

  const handOver = (from: Open, to: Open) =>
    lending(from.session.run(new Map(), from.graph.values.moving), (handles) => upload(to, { moving: handles }));

  /** The session for a batch, holding the state; none if the step is replayed. */
  const sessionFor = (batch: Batch, staying: Params): Open | undefined => {
    const signature = signatureOf(batch, staying);
    const known = opened.get(signature);
    if (known !== undefined) {
      if (current !== undefined && current !== known) handOver(current, known);
      return current = known;
    }
    try {
      current = openFor(batch, staying, signature);
      opened.set(signature, current);
      return current;
    } catch (error) {
      if (current !== undefined || precision !== "float32" || tensors.some(({ isDisposed }) => isDisposed)) throw error;
      onFallback?.(`not run as one TensorFlow graph, but kernel by kernel: ${firstLine(error)}`);
      instead = fallback(step, state);
    }
  };

  /** The tensors of the next batch, if the session that is open is the one for it. */
  const ridingOf = ({ signature }: Open, { batch, staying = {} }: NextBatch): readonly tf.Tensor[] | undefined => {
    const next = { ...batch, ...staying };
    return signatureOf(next, staying) === signature ? Object.values(next) : undefined;
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
    read: (parts) => {
      if (instead !== undefined) return instead.read(parts);
      const kept = (made: Made, i: number): tf.Tensor => {
        const form = forms[i];
        if (form !== undefined) return tf.keep(storedOf(made, form, tensors[i].shape));
        if (made.dtype !== ELEMENT.bfloat16) return tf.keep(tensorOf(made));
        return lending(
          [made],
          ([handle]) =>
            tf.keep(
              tensorOf({ ...made, dtype: ELEMENT.float32, id: castHandle(handle, ELEMENT.bfloat16, ELEMENT.float32) }),
            ),
        );
      };
      const asked = places.flatMap(({ part }, i) => parts === undefined || parts.includes(part) ? [i] : []);
      const { session, graph: { values } } = current ?? { graph: { values: undefined } };
      const names = values && [...values.fixed.slice(0, frozenCount), ...values.moving];
      const read = names === undefined
        ? asked.map((i) => tf.keep(tf.clone(tensors[i])))
        // A run without anything to fetch is an error of TensorFlow's.
        : asked.length === 0
        ? []
        : session!.run(new Map(), asked.map((i) => names[i])).map((made, at) => kept(made, asked[at]));
      const made = { frozen: {}, trained: {}, optimiser: {} } as Record<keyof StepState, Record<string, tf.Tensor>>;
      asked.forEach((i, at) => made[places[i].part][places[i].path] = read[at]);
      return made;
    },
    dispose: () => {
      instead?.dispose();
      for (const { session } of opened.values()) session.dispose();
      tf.dispose([...tensors]);
    },
  };
}
