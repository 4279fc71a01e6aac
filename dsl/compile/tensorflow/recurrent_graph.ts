/**
 * The graph of a step that is run again and again.
 *
 * @module
 */
import { type StoredForm, storedForm } from "../../engine/stored.ts";
import { isOnGpu } from "../../engine/tensorflow.ts";
import { ELEMENT, elementOf, type ElementType, type Graph, graphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { flatten, type Params, type Tree } from "../../tree.ts";
import type { Continued } from "../continuation.ts";
import type { ValueId, ValueType } from "../program.ts";
import type { RecurrentFunction, RecurrentOptions } from "../recurrence.ts";
import { trace } from "../trace.ts";
import { continued } from "./continued.ts";
import { after } from "./feed.ts";
import { lower } from "./lower.ts";
import { inType, type Operand, T } from "./lowering.ts";
import { prepareGraph } from "./prepare.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";
import { blockParts } from "./repeated.ts";
import { hasRowProducts } from "./row_products.ts";
import { stepKernels } from "./seen_attention.ts";
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
export interface RecurrentGraph {
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

export function programOf(
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
    { precision, kernels: ownProducts ? stepKernels(given[1], inBlocks && hasRowProducts()) : [] },
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
export function recurrentGraph(
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
