/**
 * Lowering: a program of tfjs kernel calls as nodes of a TensorFlow graph, or of one function of it.
 *
 * @module
 */
import { ELEMENT, elementOf, type GraphBuilder, type GraphFunction } from "../../engine/tensorflow_graph/graph.ts";
import { sizeOf } from "../../tree.ts";
import { type Call, isAlias, type ValueId } from "../program.ts";
import { unpackedBlocks } from "./blocks.ts";
import { type Cluster, clustersOf } from "./clusters.ts";
import { emitter, inPlace, nodeOf, type Source, type Unpacking } from "./emitter.ts";
import { functionBuilder, outputsOf } from "./function_builder.ts";
import { fuse, type Fused } from "./functions.ts";
import type { InPlace } from "./in_place.ts";
import type { Operand } from "./lowering.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";
import { dependents, schedule, type Unit } from "./schedule.ts";
import { isCustomCall } from "./seen_attention.ts";
import { holderOf, unpacked } from "./stored.ts";

/** Calls that become functions of their own. */
export interface Parts {
  /** Them, by function. */
  readonly clusters: readonly Cluster[];
  /** Prepares a function, whose results are given. */
  readonly prepare: (cluster: Cluster, outputs: readonly ValueId[]) => Fused;
}

/**
 * Adds a program's calls to a graph.
 *
 * @param graph Where to
 * @param source The program, where its inputs are found, and what is in bfloat16
 * @param compile Clusters of elementwise calls that work on tensors of at least this size are compiled, or these parts
 * @param batch Inputs that are not known before the step: large things that depend on others alone wait until they are needed,
 *   or they would all be made as the step starts
 * @param moving State that clusters may move in place: what they do so, they do not return
 * @returns Where a value is found
 * @throws OneloraError for a kernel that has no rule
 */
export function lower(
  graph: GraphBuilder,
  source: Source,
  compile: number | Parts,
  batch: readonly ValueId[],
  moving?: InPlace,
): (value: ValueId) => Operand {
  const { program, given, halved } = source;
  const { calls, types } = program;
  const parts = typeof compile === "number" ? undefined : compile;
  const clusters = typeof compile === "number" ? clustersOf(program, compile, halved) : compile.clusters;
  const varying = dependents(program, batch);
  // A region computes again on purpose: it waits for what was done before it. Otherwise TensorFlow would compute it as
  // soon as its inputs are there, and keep it.
  let [wait, stretch, last]: [string | undefined, number, string | undefined] = [undefined, 0, undefined];
  const inStretch = new Set<string>();
  // The last cluster or large call that depends on the batch, and what is to wait for it.
  let [turn, late]: [string | undefined, string | undefined] = [undefined, undefined];
  const add: GraphBuilder["add"] = (op, inputs, attrs) => {
    const waits = wait !== undefined && !inputs.some((input) => inStretch.has(nodeOf(input)));
    const before = [...(waits ? [wait] : []), ...(late === undefined ? [] : [late])].map((node) => `^${node}`);
    last = graph.add(op, [...inputs, ...before], attrs);
    inStretch.add(last);
    return last;
  };
  const called = (made: GraphFunction, inputs: readonly string[], op = "PartitionedCall") =>
    add(op, inputs, {
      Tin: { types: made.inputs },
      Tout: { types: made.outputs.map(({ type }) => type) },
      f: { function: graph.define(made) },
      _XlaMustCompile: { bool: true },
    });
  const compiled: Unpacking = {
    all: (operand, type, after) => {
      const body = functionBuilder();
      const name = unpacked(body, { ...operand, name: "input0" }, type);
      const made = body.finish([holderOf(operand, operand.stored).type], [{ ...operand, name, type }]);
      return called(made, [operand.name, ...after.map((node) => `^${node}`)]);
    },
    rows: (operand, type, { name, count }) => {
      const body = functionBuilder();
      const made = unpackedBlocks(body, { ...operand, name: "input0" }, type, { name: "input1", count });
      const types = [holderOf(operand, operand.stored).type, ELEMENT.int32];
      return called(body.finish(types, [{ ...operand, name: made, type }]), [operand.name, name]);
    },
  };
  const sink = { add, constant: graph.constant };
  const varies = new Set(batch);
  const state = new Set([...given].flatMap(([value, { name }]) => varies.has(value) ? [] : [name]));
  const emit = emitter(source, sink, canFuse() ? compiled : inPlace(sink), state);
  const emitCluster = (cluster: Unit["calls"], exported: readonly ValueId[]) => {
    const { inputs, outputs, body } = parts?.prepare(cluster, exported) ??
      fuse(program, cluster, exported, halved.values, emit.lowerCall);
    const placed = inputs.map(emit.place);
    // What depends on the state alone could be computed at the step's start, and would be kept until it is used: a cluster of such
    // calls, and the numbers of quantised matrices.
    const operands = parts === undefined ? placed.map((each) => emit.asNumbers(each, turn)) : placed;
    const made = body(operands);
    const varies = inputs.some((value) => varying.has(value));
    const waits = varies || turn === undefined ? [] : [`^${turn}`];
    const moved = moving?.claim(cluster, inputs, exported, emit.find);
    if (moved !== undefined) {
      const given = inputs.map((value, i) => moved.variables.get(value) ?? operands[i].name);
      const before = [...moved.after, ...waits].filter((node) => !given.includes(node));
      // Nothing else may wait for what does not run where the loss is not finite.
      const others = last;
      moved.done(called(body(operands, moved.next), [...given, ...before], "StatefulPartitionedCall"));
      last = others;
      return;
    }
    const node = called(made, [...operands.map(({ name }) => name), ...waits]);
    if (varies) turn = node;
    const names = outputsOf(node, outputs.length);
    outputs.forEach((value, k) =>
      emit.set(value, { name: names[k], shape: types[value].shape, type: made.outputs[k].type })
    );
  };
  /** Whether a call takes rows of many whole numbers, which TensorFlow would do on the host, where it keeps them. */
  const takesWords = ({ kernel, inputs: [table] }: Call) =>
    kernel === "GatherV2" && types[table].dtype === "int32" && sizeOf(types[table].shape) >= FUSE_FROM && canFuse();
  /** A call as a function of its own. */
  const emitCompiled = (call: Call) => {
    const operands = call.inputs.map(emit.place);
    const body = functionBuilder();
    const given = operands.map((operand, i) => ({ ...operand, name: `input${i}` }));
    const names = emit.lowerCall(call, given, body.add, body.constant);
    const results = call.outputs.map((value, i): Operand => {
      const { shape, dtype } = types[value];
      return { name: names[i], shape, type: elementOf(dtype) };
    });
    const holders = operands.map((each) => holderOf(each, each.stored).type);
    const node = called(body.finish(holders, results), operands.map(({ name }) => name));
    const made = outputsOf(node, results.length);
    call.outputs.forEach((value, i) => emit.set(value, { ...results[i], name: made[i] }));
  };
  /** Whether a call reads something large that is kept in halves: its numbers would be made of it as the step starts too. */
  const convertsLarge = ({ inputs }: Call) =>
    inputs.some((value) => sizeOf(types[value].shape) >= FUSE_FROM && given.get(value)?.type === ELEMENT.bfloat16);
  const emitCall = (call: Call) => {
    const isLarge = !isAlias(call) && call.outputs.some((value) => sizeOf(types[value].shape) >= FUSE_FROM);
    const varies = call.outputs.some((value) => varying.has(value));
    late = (isLarge || convertsLarge(call)) && !varies ? turn : undefined;
    emit.call(call);
    late = undefined;
    if (isLarge && varies) turn = last;
  };
  for (const unit of schedule(program, clusters, new Set(given.keys()))) {
    if (unit.stretch !== stretch) {
      [stretch, wait] = [unit.stretch, unit.region === 0 ? undefined : last];
      inStretch.clear();
      emit.forget();
    }
    if (unit.exported !== undefined) {
      emitCluster(unit.calls, unit.exported);
      continue;
    }
    const call = calls[unit.calls[0]];
    if (takesWords(call) || isCustomCall(call)) emitCompiled(call);
    else emitCall(call);
  }
  return emit.place;
}
