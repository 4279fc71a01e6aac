/**
 * Recurrent functions as TensorFlow graphs: parameters and what is kept are variables of a session, and rows are added to
 * the latter where they lie.
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
  openSession,
  tensorOf,
} from "../../engine/tensorflow_graph/session.ts";
import { collectGarbage } from "../../garbage.ts";
import type { Params, Tree } from "../../tree.ts";
import type { ValueType } from "../program.ts";
import type { Recurrent, RecurrentFunction, RecurrentOptions } from "../recurrence.ts";
import { InTypes } from "./in_types.ts";
import { programOf, type RecurrentGraph, recurrentGraph } from "./recurrent_graph.ts";

/** A session for inputs of one signature. */
interface Open {
  readonly session: GraphSession;
  readonly graph: RecurrentGraph;
  readonly names: readonly string[];
}

function upload({ session, graph }: Open, kind: "fixed" | "kept", handles: readonly Handle[]): void {
  if (handles.length === 0) return;
  const fed = new Map(graph.uploads[kind].map((name, i) => [name, handles[i]]));
  lending(session.run(fed, [graph.uploaded[kind]]), () => {});
}

/** Tensors in the types of variables; those that had to be converted are freed afterwards, those that are used up at once. */
function uploadTensors(
  open: Open,
  kind: "fixed" | "kept",
  tensors: Iterable<tf.Tensor>,
  areUsedUp: boolean = false,
): void {
  using types = new InTypes(open.graph.types[kind]);
  const usedUp: tf.Tensor[] = [];
  const handles: Handle[] = [];
  for (const tensor of tensors) {
    handles.push(types.handleOf(tensor, handles.length, (copied) => areUsedUp && copied.dispose()));
    if (areUsedUp && !tensor.isDisposed) usedUp.push(tensor);
  }
  try {
    upload(open, kind, handles);
  } finally {
    tf.dispose(usedUp);
  }
}

/** Zeros, one after the other. */
function* zeros(types: Tree<ValueType>): Generator<tf.Tensor> {
  for (const { shape, dtype } of Object.values(types)) yield tf.fill([...shape], 0, dtype as "float32");
}

/**
 * Starts a function whose parameters and what it keeps live in sessions, one for each signature of what is kept and of the
 * input. Parameters are shared between them where TensorFlow computes on the CPU.
 *
 * @param f The function
 * @param parameters Its parameters
 * @param options See {@linkcode RecurrentOptions}
 */
export function startRecurrentGraph(f: RecurrentFunction, parameters: Params, options: RecurrentOptions): Recurrent {
  const sessions = new Map<string, Open>();
  let first: Open | undefined;
  /** Tensors, or zeros, that are to be kept from the next call on, or the session that keeps them. */
  let pending: Params | "zeros" | undefined = {};
  let holder: Open | undefined;
  let shape: Tree<ValueType> = {};

  const open = (input: Params): Open => {
    // What reading and planning left.
    collectGarbage();
    const program = programOf(f, [parameters, shape, input], options, options.blocks?.(input) ?? false);
    const graph = recurrentGraph(program);
    const opened: Open = { graph, session: openSession(graph.graph), names: program.results };
    const constants = [...program.program.constants.values()]
      .flatMap((constant) => constant.kind === "tensor" ? [constant.tensor] : []);
    try {
      // What is in the same types may be shared with the session that has it.
      const shared = first?.graph.types.fixed;
      const isShared = shared !== undefined && constants.length === 0 && `${shared}` === `${graph.types.fixed}`;
      if (isShared && shared.length > 0) {
        lending(
          first!.session.run(new Map(), first!.graph.values.fixed),
          (handles) => upload(opened, "fixed", handles),
        );
      } else uploadTensors(opened, "fixed", [...Object.values(parameters), ...constants]);
    } catch (error) {
      opened.session.dispose();
      throw error;
    }
    first ??= opened;
    return opened;
  };
  const sessionFor = (input: Params): Open => {
    const types = [shape, input].map((tree) =>
      Object.entries(tree).map(([name, tensor]) => `${name} ${tensor.dtype} ${tensor.shape}`).join()
    ).join("|");
    const known = sessions.get(types) ?? open(input);
    sessions.set(types, known);
    if (pending !== undefined) {
      uploadTensors(known, "kept", pending === "zeros" ? zeros(shape) : Object.values(pending), true);
      pending = undefined;
    } else if (holder !== undefined && holder !== known && holder.graph.values.kept.length > 0) {
      const { session, graph } = holder;
      lending(session.run(new Map(), graph.values.kept), (handles) => {
        const [from, to] = [graph.types.kept, known.graph.types.kept];
        const cast = handles.map((handle, i) => from[i] === to[i] ? handle : castHandle(handle, from[i], to[i]));
        try {
          upload(known, "kept", cast);
        } finally {
          cast.forEach((handle, i) => handle !== handles[i] && freeHandle(handle));
        }
      });
    }
    holder = known;
    return known;
  };
  const drop = () => {
    if (pending !== undefined && pending !== "zeros") tf.dispose(pending as Record<string, tf.Tensor>);
  };
  const kept = (): Params => {
    if (pending === "zeros") {
      const made = [...zeros(shape)];
      return Object.fromEntries(Object.keys(shape).map((name, i) => [name, tf.keep(made[i])]));
    }
    if (pending !== undefined) {
      return Object.fromEntries(Object.entries(pending).map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]));
    }
    const { session, graph } = holder!;
    const names = Object.keys(shape);
    // A variable's own memory is written to: what is handed out is a copy.
    return Object.fromEntries(
      session.run(new Map(), graph.values.kept).map((made, i) => [
        names[i],
        lending([made], ([handle]) => {
          const id = castHandle(handle, graph.types.kept[i], ELEMENT.float32);
          const shared = tensorOf({ ...made, dtype: ELEMENT.float32, id });
          if (graph.types.kept[i] !== ELEMENT.float32) return tf.keep(shared);
          return tf.tidy(() => tf.keep(tf.add(shared, 0)));
        }),
      ]),
    );
  };
  return {
    clear: (types) => {
      drop();
      [pending, shape] = ["zeros", types];
    },
    keep: (next) => {
      drop();
      pending = Object.fromEntries(Object.entries(next).map(([name, tensor]) => [name, tf.keep(tensor)]));
      shape = Object.fromEntries(
        Object.entries(next).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
      );
    },
    kept,
    call: (input, at) => {
      const { session, graph, names } = sessionFor(input);
      const fed = new Map(graph.input.map((node, i) => [node, handleOf(Object.values(input)[i])]));
      const position = tf.scalar(at, "int32");
      try {
        if (graph.at !== undefined) fed.set(graph.at, handleOf(position));
        const made = session.run(fed, graph.written === undefined ? graph.results : [...graph.results, graph.written]);
        made.slice(graph.results.length).forEach(({ id }) => freeHandle(id));
        return Object.fromEntries(names.map((name, i) => [name, tensorOf(made[i])]));
      } finally {
        position.dispose();
      }
    },
    dispose: () => {
      for (const { session } of sessions.values()) session.dispose();
      drop();
    },
  };
}
