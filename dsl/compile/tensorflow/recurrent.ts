/**
 * Recurrent functions as TensorFlow graphs: parameters and what is kept are variables of a session, and rows are added to
 * the latter where they lie.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ELEMENT, elementOf, type ElementType, type Graph, graphBuilder } from "../../engine/tensorflow_graph/graph.ts";
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
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import { collectGarbage } from "../../garbage.ts";
import { isOnGpu } from "../../engine/tensorflow.ts";
import { flatten, type Params, type Tree } from "../../tree.ts";
import type { ValueId, ValueType } from "../program.ts";
import type { Continued } from "../continuation.ts";
import type { Recurrent, RecurrentFunction, RecurrentOptions } from "../recurrence.ts";
import { trace } from "../trace.ts";
import { continued } from "./continued.ts";
import { after } from "./feed.ts";
import { lower } from "./lower.ts";
import { inType, type Operand, T } from "./lowering.ts";
import { prepareGraph } from "./prepare.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";
import { blockParts } from "./repeated.ts";
import { hasRowProducts } from "./row_products.ts";
import { fixedVariables, namesOf, typeIn, variable } from "./variables.ts";

/** A function's program and what its values are; inputs: parameters, what is kept, the input; outputs: results, what is added. */
interface RecurrentProgram extends Continued {
  readonly parameters: number;
  readonly kept: number;
  /** What parameters are stored as, those that are. */
  readonly forms: readonly (StoredForm | undefined)[];
  readonly results: readonly string[];
  /** Which of what is kept each added output is for. */
  readonly added: readonly number[];
}

/** Names of the nodes that a session of the graph uses. */
interface RecurrentGraph {
  readonly graph: Graph;
  readonly uploads: Readonly<Record<"fixed" | "kept", readonly string[]>>;
  readonly uploaded: Readonly<Record<"fixed" | "kept", string>>;
  readonly values: Readonly<Record<"fixed" | "kept", readonly string[]>>;
  readonly types: Readonly<Record<"fixed" | "kept", readonly ElementType[]>>;
  readonly input: readonly string[];
  readonly results: readonly string[];
  /** Where the first added row goes, and what is there once all are. */
  readonly at?: string;
  readonly written?: string;
}

const typesIn = flatten((node): node is ValueType => Array.isArray((node as Partial<ValueType> | null)?.shape));

function programOf(
  f: RecurrentFunction,
  given: readonly [parameters: Params, kept: Tree<ValueType>, input: Params],
  { precision = "float32", ownProducts = true }: RecurrentOptions,
  inBlocks: boolean,
): RecurrentProgram {
  const flat = typesIn(given);
  const names = Object.keys(given[1]);
  let [results, added]: [readonly string[], readonly number[]] = [[], []];
  const traced = trace(
    (inputs) => {
      const [made, rows] = f(...flat.rebuild(inputs) as [Params, Params, Params]);
      results = Object.keys(made);
      added = Object.keys(rows).map((name) => names.indexOf(name));
      return [...Object.values(made), ...Object.values(rows)];
    },
    flat.leaves.map(({ shape, dtype }) => ({ shape, dtype })),
    { precision },
  );
  const forms = Object.values(given[0]).map(storedForm);
  const byRows = ownProducts && hasRowProducts();
  const options = { forms, kept: names.length, precision, byRows, inBlocks: inBlocks && canFuse(), cut: !isOnGpu() };
  return {
    ...continued(prepareGraph(traced), options),
    forms,
    parameters: forms.length,
    kept: names.length,
    results,
    added,
  };
}

/** Builds the graph. */
function recurrentGraph(
  { program, halved, blocks, parameters, kept, results, added, forms }: RecurrentProgram,
): RecurrentGraph {
  const graph = graphBuilder();
  const typeOf = typeIn(program, halved);
  const keptValues = program.inputs.slice(parameters, parameters + kept);
  const inputValues = program.inputs.slice(parameters + kept);
  const fixed = fixedVariables(graph, program, typeOf, parameters, forms);
  const state = keptValues.map((value, i) => variable(graph, `kept${i}`, typeOf(value)));
  const input = inputValues.map((value, i): Operand => {
    const { shape, type } = typeOf(value);
    const name = graph.add("Placeholder", [], { dtype: T(type), shape: { shape } }, `input${i}_fed`);
    return { name, shape, type };
  });
  const given = new Map<ValueId, Operand>([
    ...fixed.given,
    ...keptValues.map((value, i) => [value, state[i].value] as const),
    ...inputValues.map((value, i) => [value, input[i]] as const),
  ]);
  const source = { program, given, halved };
  const parts = blocks && blockParts(source, blocks);
  const place = lower(graph, source, parts ?? (canFuse() ? FUSE_FROM : Infinity), inputValues);
  const outputs = program.outputs.map(place);
  const made = outputs.slice(0, results.length).map((output, i) =>
    graph.add("Identity", [inType(output, elementOf(program.types[program.outputs[i]].dtype), graph.add)], {
      T: T(elementOf(program.types[program.outputs[i]].dtype)),
    }, `result${i}`)
  );
  const at = graph.add("Placeholder", [], { dtype: T(ELEMENT.int32), shape: { shape: [] } }, "at");
  const rowsAt = new Map<string, string>();
  // All reading is over when the results are there.
  const writes = added.map((which, i) => {
    const { value: { name, shape, type } } = state[which];
    const [length, width] = shape.slice(-2);
    const count = outputs[results.length + i].shape.at(-2)!;
    const outer = shape.slice(0, -2).reduce((product, size) => product * size, 1);
    const offsets = Array.from({ length: outer * count }, (_, k) => Math.floor(k / count) * length + k % count);
    const key = `${outer} ${length} ${count}`;
    const rows = rowsAt.get(key) ??
      graph.add("AddV2", [graph.constant(ELEMENT.int32, [offsets.length], offsets), at], { T: T(ELEMENT.int32) });
    rowsAt.set(key, rows);
    const flat = (of: string, height: number) =>
      graph.add("Reshape", [of, graph.constant(ELEMENT.int32, [2], [height, width])], {
        T: T(type),
        Tshape: T(ELEMENT.int32),
      });
    return graph.add("InplaceUpdate", [
      flat(name, outer * length),
      rows,
      flat(inType(outputs[results.length + i], type, graph.add), outer * count),
      ...made.map((node) => `^${node}`),
    ], { T: T(type) });
  });
  const [ofFixed, ofKept] = [namesOf(fixed.variables), namesOf(state)];
  return {
    graph: graph.graph,
    uploads: { fixed: ofFixed.uploads, kept: ofKept.uploads },
    uploaded: {
      fixed: after(graph, ofFixed.uploaded, "fixed_uploaded"),
      kept: after(graph, ofKept.uploaded, "kept_uploaded"),
    },
    values: { fixed: ofFixed.values, kept: ofKept.values },
    types: { fixed: ofFixed.types, kept: ofKept.types },
    input: input.map(({ name }) => name),
    results: made,
    ...writes.length === 0 ? {} : { at, written: after(graph, writes, "written") },
  };
}

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
  const converted: Handle[] = [];
  const usedUp: tf.Tensor[] = [];
  const handles: Handle[] = [];
  for (const tensor of tensors) {
    const isConverted = open.graph.types[kind][handles.length] === ELEMENT.bfloat16 &&
      storedForm(tensor) === undefined;
    if (isConverted) converted.push(castHandle(handleOf(tensor), ELEMENT.float32, ELEMENT.bfloat16));
    handles.push(isConverted ? converted.at(-1)! : handleOf(tensor));
    if (areUsedUp && isConverted) tensor.dispose();
    else if (areUsedUp) usedUp.push(tensor);
  }
  try {
    upload(open, kind, handles);
  } finally {
    converted.forEach(freeHandle);
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
