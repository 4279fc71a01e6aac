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
  type Made,
  openSession,
  tensorOf,
} from "../../engine/tensorflow_graph/session.ts";
import type { Precision } from "../../engine/precision.ts";
import { firstLine } from "../../error.ts";
import type { Params } from "../../tree.ts";
import type { ValueType } from "../program.ts";
import type { PureStep, Resident, ResidentOptions, StepState } from "../resident.ts";
import { trace } from "../trace.ts";
import { type StepGraph, stepGraph, type StepProgram } from "./step_graph.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";
import { prepareGraph } from "./prepare.ts";

/** Names of everything a step takes and gives, in the order of its program's inputs and outputs. */
interface Layout {
  readonly frozen: readonly string[];
  readonly trained: readonly string[];
  readonly optimiser: readonly string[];
  readonly batch: readonly string[];
}

/** A session for batches of one signature. */
interface Open {
  readonly session: GraphSession;
  readonly graph: StepGraph;
  readonly metrics: readonly string[];
}

function picked(names: readonly string[], tensors: readonly tf.Tensor[]): Params {
  return Object.fromEntries(names.map((name, i) => [name, tensors[i]]));
}

/** The step's program for a state and batches of given types. */
function programOf<Batch extends Params>(
  step: PureStep<Batch>,
  { frozen, trained, optimiser, batch }: Layout,
  types: readonly ValueType[],
  precision: Precision,
): StepProgram & { readonly metrics: readonly string[] } {
  let metrics: readonly string[] = [];
  const [a, b, c] = [
    frozen.length,
    frozen.length + trained.length,
    frozen.length + trained.length + optimiser.length,
  ];
  const traced = trace(
    (inputs) => {
      const [next, numbers] = step({
        frozen: picked(frozen, inputs.slice(0, a)),
        trained: picked(trained, inputs.slice(a, b)),
        optimiser: picked(optimiser, inputs.slice(b, c)),
      }, picked(batch, inputs.slice(c)) as Batch);
      metrics = Object.keys(numbers);
      return [
        ...trained.map((name) => next.trained[name]),
        ...optimiser.map((name) => next.optimiser[name]),
        ...Object.values(numbers),
      ];
    },
    types,
    precision,
  );
  const moving = trained.length + optimiser.length;
  return {
    program: prepareGraph(traced),
    fixed: a,
    moving,
    loss: moving + metrics.indexOf("loss"),
    metrics,
  };
}

/** Runs with handles that are freed afterwards. */
function lending<Result>(made: readonly Made[], f: (handles: readonly Handle[]) => Result): Result {
  try {
    return f(made.map(({ id }) => id));
  } finally {
    for (const { id } of made) freeHandle(id);
  }
}

function feeds(names: readonly string[], handles: readonly Handle[]): ReadonlyMap<string, Handle> {
  return new Map(names.map((name, i) => [name, handles[i]]));
}

function upload({ session, graph }: Open, kind: "fixed" | "moving", handles: readonly Handle[]): void {
  lending(session.run(feeds(graph.uploads[kind], handles), [graph.uploaded[kind]]), () => {});
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
  { precision = "float32", onFallback, fuseFrom = FUSE_FROM }: ResidentOptions,
  fallback: (step: PureStep<Batch>, state: StepState) => Resident<Batch>,
): Resident<Batch> {
  const names = [state.frozen, state.trained, state.optimiser].map(Object.keys);
  const [frozen, trained, optimiser] = names;
  const tensors = [state.frozen, state.trained, state.optimiser].flatMap((tree) => Object.values(tree));
  const types = tensors.map(({ shape, dtype }) => ({ shape, dtype }));
  const opened = new Map<string, Open>();
  let current: Open | undefined;
  let instead: Resident<Batch> | undefined;

  const openFor = (batch: Batch): Open => {
    const layout = { frozen, trained, optimiser, batch: Object.keys(batch) };
    const given = Object.values(batch).map(({ shape, dtype }) => ({ shape, dtype }));
    const program = programOf(step, layout, [...types, ...given], precision);
    const graph = stepGraph(program, canFuse() ? fuseFrom : Infinity, precision);
    const open = { graph, metrics: program.metrics, session: openSession(graph.graph) };
    try {
      const constants = [...program.program.constants.values()]
        .flatMap((constant) => constant.kind === "tensor" ? [handleOf(constant.tensor)] : []);
      if (current === undefined) {
        // Tensor by tensor, so that there are never two copies of a whole model.
        const converted: Handle[] = [];
        const handles = frozen.map((_, i) => {
          const tensor = tensors[i];
          if (graph.fixedTypes[i] !== ELEMENT.bfloat16) return handleOf(tensor);
          converted.push(castHandle(handleOf(tensor), ELEMENT.float32, ELEMENT.bfloat16));
          tensor.dispose();
          return converted.at(-1)!;
        });
        upload(open, "fixed", [...handles, ...constants]);
        converted.forEach(freeHandle);
        upload(open, "moving", tensors.slice(frozen.length).map(handleOf));
        tf.dispose(tensors);
      } else {
        const { session, graph: { values } } = current;
        lending(
          session.run(new Map(), values.fixed.slice(0, frozen.length)),
          (handles) => upload(open, "fixed", [...handles, ...constants]),
        );
        handOver(current, open);
      }
    } catch (error) {
      open.session.dispose();
      throw error;
    }
    return open;
  };

  const handOver = (from: Open, to: Open) =>
    lending(from.session.run(new Map(), from.graph.values.moving), (handles) => upload(to, "moving", handles));

  /** The session for a batch, holding the state; none if the step is replayed. */
  const sessionFor = (batch: Batch): Open | undefined => {
    const signature = Object.entries(batch).map(([name, { shape, dtype }]) => `${name} ${dtype} ${shape}`).join();
    const known = opened.get(signature);
    if (known !== undefined) {
      if (current !== undefined && current !== known) handOver(current, known);
      return current = known;
    }
    try {
      current = openFor(batch);
      opened.set(signature, current);
      return current;
    } catch (error) {
      if (current !== undefined || precision !== "float32" || tensors.some(({ isDisposed }) => isDisposed)) throw error;
      onFallback?.(`not run as one TensorFlow graph, but kernel by kernel: ${firstLine(error)}`);
      instead = fallback(step, state);
    }
  };

  return {
    step: async (batch) => {
      const open = instead === undefined ? sessionFor(batch) : undefined;
      if (open === undefined) return instead!.step(batch);
      const { session, graph, metrics } = open;
      const made = session.run(feeds(graph.batch, Object.values(batch).map(handleOf)), graph.metrics);
      const numbers: Record<string, number> = {};
      for (const [i, name] of metrics.entries()) {
        const tensor = tensorOf(made[i]);
        numbers[name] = (await tensor.data())[0];
        tensor.dispose();
      }
      return numbers;
    },
    read: () => {
      if (instead !== undefined) return instead.read();
      const kept = (made: Made): tf.Tensor => {
        if (made.dtype !== ELEMENT.bfloat16) return tf.keep(tensorOf(made));
        return lending(
          [made],
          ([handle]) =>
            tf.keep(
              tensorOf({ ...made, dtype: ELEMENT.float32, id: castHandle(handle, ELEMENT.bfloat16, ELEMENT.float32) }),
            ),
        );
      };
      const all = current === undefined
        ? tensors.map((tensor) => tf.keep(tf.clone(tensor)))
        : current.session.run(new Map(), [
          ...current.graph.values.fixed.slice(0, frozen.length),
          ...current.graph.values.moving,
        ]).map(kept);
      const [a, b] = [frozen.length, frozen.length + trained.length];
      return {
        frozen: picked(frozen, all.slice(0, a)),
        trained: picked(trained, all.slice(a, b)),
        optimiser: picked(optimiser, all.slice(b)),
      };
    },
    dispose: () => {
      instead?.dispose();
      for (const { session } of opened.values()) session.dispose();
      tf.dispose(tensors);
    },
  };
}
