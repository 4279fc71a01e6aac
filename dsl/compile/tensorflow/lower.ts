/**
 * Lowering: a program of tfjs kernel calls as nodes of a TensorFlow graph, or of one function of it.
 *
 * @module
 */
import { isBlockForm } from "../../blocks.ts";
import { OneloraError } from "../../error.ts";
import { sizeOf } from "../../tree.ts";
import {
  ELEMENT,
  elementOf,
  type ElementType,
  type GraphBuilder,
  type GraphFunction,
} from "../../engine/tensorflow_graph/graph.ts";
import { type Call, isAlias, type Program, type ValueId } from "../program.ts";
import { type Cluster, clustersOf } from "./clusters.ts";
import { functionBuilder, type NodeSink, outputsOf } from "./function_builder.ts";
import { fuse, type Fused, type LowerCall } from "./functions.ts";
import { type Halved, isMoving } from "./half.ts";
import { computing } from "./kernels.ts";
import { inType, type Lowering, type Operand } from "./lowering.ts";
import { masking } from "./masking.ts";
import { dependents, schedule, type Unit } from "./schedule.ts";
import { canFuse, FUSE_FROM } from "./probe.ts";
import { isRowProducts, rowProductRules } from "./row_products.ts";
import { shaping } from "./shaping.ts";
import type { InPlace } from "./in_place.ts";
import { type BlockOperand, type ChosenRows, hasWholeRows, unpackedBlocks } from "./blocks.ts";
import { holderOf, unpacked } from "./stored.ts";

const RULES: Readonly<Record<string, Lowering>> = { ...computing, ...shaping, ...masking, ...rowProductRules };

/** Names of the kernels that can be lowered. */
export const lowerableKernels: readonly string[] = Object.keys(RULES);

function ruleOf(kernel: string): Lowering {
  const rule = RULES[kernel];
  if (rule !== undefined) return rule;
  throw new OneloraError({
    attempted: "making a TensorFlow graph",
    found: `kernel ${kernel}`,
    allowed: lowerableKernels.join(", "),
  });
}

function isFloating({ type }: Operand): boolean {
  return type === ELEMENT.float32 || type === ELEMENT.bfloat16;
}

/** Name of the node that an output belongs to. */
function nodeOf(output: string): string {
  return output.split(":")[0];
}

/** What is emitted, and from what. */
export interface Source {
  readonly program: Program;
  /** Where its inputs, and those constants that are tensors, are found. */
  readonly given: ReadonlyMap<ValueId, Operand>;
  /** What is in bfloat16. */
  readonly halved: Halved;
}

/** Makes numbers of a quantised matrix once some nodes are done; their name. */
type Unpack = (operand: Operand, type: ElementType, after: readonly string[]) => string;

/** Makes numbers of some rows of a matrix in blocks; their name. */
type UnpackRows = (operand: BlockOperand, type: ElementType, rows: ChosenRows) => string;

/** How what is stored in another form becomes numbers. */
interface Unpacking {
  readonly all: Unpack;
  readonly rows: UnpackRows;
}

/** Where they are made among the other nodes. */
function inPlace(sink: NodeSink): Unpacking {
  return {
    all: (operand, type) => unpacked(sink, operand, type),
    rows: (operand, type, rows) => unpackedBlocks(sink, operand, type, rows),
  };
}

/** Turns calls into nodes, one after the other. */
export interface Emitter {
  /** Where a value is found, which has been made. */
  readonly place: (value: ValueId) => Operand;
  /** The same, if it has been made. */
  readonly find: (value: ValueId) => Operand | undefined;
  /** A value that may be stored as numbers. */
  readonly asNumbers: (operand: Operand) => Operand;
  /** Adds a call's nodes. */
  readonly call: (call: Call) => void;
  /** Says where a value is found. */
  readonly set: (value: ValueId, operand: Operand) => void;
  /** Forgets the conversions made so far: the next stretch makes its own. */
  readonly forget: () => void;
  /** A call's nodes, its inputs given. */
  readonly lowerCall: LowerCall;
}

/**
 * What turns calls into nodes.
 *
 * @param source The program, where its inputs are found, and what is in bfloat16
 * @param sink Where to
 * @param unpacking How quantised matrices become numbers (default where they are read)
 * @param state What is there before the step, by name: it is converted once what it is read with is there, or it would be as
 *   the step starts, and be kept until then
 */
export function emitter(
  { program, given, halved }: Source,
  { add, constant: numbers }: NodeSink,
  unpacking: Unpacking = inPlace({ add, constant: numbers }),
  state: ReadonlySet<string> = new Set(),
): Emitter {
  const { types } = program;
  const values = new Map(given);
  const conversions = new Map<string, string>();
  const lowerCall: LowerCall = (call, list, add, numbers) =>
    ruleOf(call.kernel)({
      inputs: Object.fromEntries((call.names ?? []).map((name, i) => [name, list[i]])),
      list,
      attrs: call.attrs,
      results: call.outputs.map((value) => types[value]),
      add,
      numbers,
      ints: (values) => numbers(ELEMENT.int32, [values.length], values),
      scalar: (type, value) => numbers(type, [], [value]),
    });
  const place = (value: ValueId): Operand => {
    const known = values.get(value);
    if (known !== undefined) return known;
    const constant = program.constants.get(value);
    if (constant?.kind !== "numbers") throw new Error(`value ${value} of the program is not in the graph`);
    const { shape, dtype } = types[value];
    const type = elementOf(dtype);
    const written = Array.from(constant.values as ArrayLike<number | boolean>, Number);
    const operand = { name: numbers(type, shape, written), shape, type };
    values.set(value, operand);
    return operand;
  };
  /** A value in a type, converted once for all its readers in a stretch. */
  const converted = (operand: Operand, type: ElementType, others: readonly Operand[] = []): Operand => {
    if (operand.type === type) return operand;
    const key = `${operand.name} ${type}`;
    const waits = state.has(operand.name) ? others.filter(({ name, stored }) => !stored && !state.has(name)) : [];
    const after = [...new Set(waits.map(({ name }) => `^${nodeOf(name)}`))];
    const late: NodeSink["add"] = (op, inputs, attrs) => add(op, [...inputs, ...after], attrs);
    const name = conversions.get(key) ?? inType(operand, type, late);
    conversions.set(key, name);
    return { ...operand, name, type };
  };
  // The last call that read a quantised matrix: the next one is made into numbers when this is over.
  let before: string | undefined;
  const made = (operand: Operand, type: ElementType, others: readonly Operand[]): Operand => {
    const waits = [...new Set(others.filter(({ stored }) => stored === undefined).map(({ name }) => nodeOf(name)))];
    const name = unpacking.all(operand, type, before === undefined ? waits : [...waits, before]);
    return { name, shape: operand.shape, type };
  };
  /** Rows looked up in a table in blocks: only those are made into numbers. */
  const lookedUp = ({ kernel, inputs, attrs, outputs: [output] }: Call): Operand | undefined => {
    if (kernel !== "GatherV2") return undefined;
    const [table, at] = inputs.map(place);
    const { stored, type } = table;
    if (stored === undefined || !isBlockForm(stored) || !hasWholeRows(stored, table.shape)) return undefined;
    if (Number(attrs.axis ?? 0) !== 0 || Number(attrs.batchDims ?? 0) !== 0) return undefined;
    const count = sizeOf(at.shape);
    const reshaped = (of: string, to: readonly number[], type: ElementType) =>
      add("Reshape", [of, numbers(ELEMENT.int32, [to.length], to)], { T: { type }, Tshape: { type: ELEMENT.int32 } });
    const rows = { name: reshaped(at.name, [count], ELEMENT.int32), count };
    const made = unpacking.rows({ ...table, stored }, type, rows);
    const { shape } = types[output];
    return { name: reshaped(made, shape, type), shape, type };
  };
  /** A call's inputs in the types it computes in. */
  const inputsOf = (call: Call): readonly Operand[] => {
    const placed = call.inputs.map(place);
    // The kernel reads weights as they are.
    if (isRowProducts(call)) return placed;
    const given = placed.map((each) =>
      each.stored === undefined ? each : made(each, halved.products.has(call) ? ELEMENT.bfloat16 : each.type, placed)
    );
    if (isMoving(call)) {
      const floating = given.filter(isFloating);
      if (floating.every(({ type }) => type === floating[0].type)) return given;
    }
    const isHalf = halved.products.has(call) || (isMoving(call) && halved.values.has(call.outputs[0]));
    const type = isHalf ? ELEMENT.bfloat16 : ELEMENT.float32;
    return given.map((each) => isFloating(each) ? converted(each, type, placed) : each);
  };
  return {
    place,
    find: (value) => values.get(value),
    asNumbers: (operand) => operand.stored === undefined ? operand : made(operand, operand.type, []),
    call: (call) => {
      const found = lookedUp(call);
      if (found !== undefined) {
        const [value] = call.outputs;
        const wanted = halved.values.has(value) ? ELEMENT.bfloat16 : elementOf(types[value].dtype);
        return void values.set(value, converted(found, wanted));
      }
      const inputs = inputsOf(call);
      const names = lowerCall(call, inputs, add, numbers);
      if (call.inputs.some((value) => place(value).stored !== undefined)) before = nodeOf(names[0]);
      call.outputs.forEach((value, k) => {
        const { shape, dtype } = types[value];
        const declared = elementOf(dtype);
        const isHalf = declared === ELEMENT.float32 &&
          (halved.products.has(call) || (isMoving(call) && inputs[0].type === ELEMENT.bfloat16));
        const made = { name: names[k], shape, type: isHalf ? ELEMENT.bfloat16 : declared };
        const wanted = halved.values.has(value) ? ELEMENT.bfloat16 : declared;
        values.set(value, isFloating(made) ? converted(made, wanted) : made);
      });
    },
    set: (value, operand) => values.set(value, operand),
    forget: () => conversions.clear(),
    lowerCall,
  };
}

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
    const operands = parts === undefined ? placed.map(emit.asNumbers) : placed;
    const made = body(operands);
    // What depends on the state alone could be computed at the step's start, and would be kept until it is used.
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
    const node = called(body.finish(operands.map(({ type }) => type), results), operands.map(({ name }) => name));
    const made = outputsOf(node, results.length);
    call.outputs.forEach((value, i) => emit.set(value, { ...results[i], name: made[i] }));
  };
  const emitCall = (call: Call) => {
    const isLarge = !isAlias(call) && call.outputs.some((value) => sizeOf(types[value].shape) >= FUSE_FROM);
    const varies = call.outputs.some((value) => varying.has(value));
    late = isLarge && !varies ? turn : undefined;
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
    if (takesWords(call) || isRowProducts(call)) emitCompiled(call);
    else emitCall(call);
  }
  return emit.place;
}
