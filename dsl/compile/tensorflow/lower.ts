/**
 * Lowering: a program of tfjs kernel calls as nodes of a TensorFlow graph.
 *
 * @module
 */
import { OneloraError } from "../../error.ts";
import { ELEMENT, elementOf, type ElementType, type GraphBuilder } from "../../engine/tensorflow_graph/graph.ts";
import { type Call, isAlias, type Program, type ValueId } from "../program.ts";
import { type Cluster, clustersOf } from "./clusters.ts";
import { fuse, type LowerCall } from "./functions.ts";
import { type Halved, isMoving } from "./half.ts";
import { computing } from "./kernels.ts";
import { inType, type Lowering, type Operand } from "./lowering.ts";
import { shaping } from "./shaping.ts";

const RULES: Readonly<Record<string, Lowering>> = { ...computing, ...shaping };

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

/**
 * Adds a program's calls to a graph.
 *
 * @param graph Where to
 * @param program The program
 * @param given Where its inputs, and those constants that are tensors, are found
 * @param fuseFrom Clusters of elementwise calls that work on tensors of at least this size are compiled
 * @param halved What is in bfloat16
 * @param batch Inputs that are not known before the step
 * @returns Where a value is found
 * @throws OneloraError for a kernel that has no rule
 */
export function lower(
  graph: GraphBuilder,
  program: Program,
  given: ReadonlyMap<ValueId, Operand>,
  fuseFrom: number,
  halved: Halved,
  batch: readonly ValueId[],
): (value: ValueId) => Operand {
  const { calls, types } = program;
  const varying = new Set(batch);
  for (const { inputs, outputs } of calls) {
    if (inputs.some((value) => varying.has(value))) outputs.forEach((value) => varying.add(value));
  }
  const values = new Map(given);
  const maker = new Map(calls.flatMap(({ outputs }, i) => outputs.map((value) => [value, i] as const)));
  const clusters = clustersOf(program, fuseFrom, halved);
  const clusterOf = new Map(clusters.flatMap((cluster) => cluster.map((i) => [i, cluster] as const)));
  const outside = readOutside(program, clusterOf);

  // A region computes again on purpose: it waits for what was done before it. Otherwise TensorFlow would compute it as
  // soon as its inputs are there, and keep it.
  let [wait, region, last]: [string | undefined, number, string | undefined] = [undefined, 0, undefined];
  let inRegion = new Map<string, string>();
  // The last cluster that depends on the batch.
  let turn: string | undefined;
  const add: GraphBuilder["add"] = (op, inputs, attrs) => {
    const waits = wait !== undefined && !inputs.some((input) => inRegion.has(nodeOf(input)));
    last = graph.add(op, waits ? [...inputs, `^${wait}`] : inputs, attrs);
    inRegion.set(last, last);
    return last;
  };
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
    const { shape, dtype } = types[value];
    const type = elementOf(dtype);
    if (constant?.kind === "numbers") {
      const numbers = Array.from(constant.values as ArrayLike<number | boolean>, Number);
      values.set(value, { name: graph.constant(type, shape, numbers), shape, type });
    } else if (constant !== undefined) throw new Error(`constant ${value} of the program is not in the graph`);
    else emit(maker.get(value)!);
    return values.get(value)!;
  };
  const emit = (i: number) => {
    const cluster = clusterOf.get(i);
    if (cluster === undefined || isAlias(calls[i])) emitCall(calls[i]);
    else emitCluster(cluster);
  };
  /** A value in a type, converted once for all its readers in a region. */
  const converted = (operand: Operand, type: ElementType): Operand => {
    if (operand.type === type) return operand;
    const key = `${operand.name} ${type}`;
    const name = inRegion.get(key) ?? inType(operand, type, add);
    inRegion.set(key, name);
    return { ...operand, name, type };
  };
  /** A call's inputs in the types it computes in. */
  const inputsOf = (call: Call): readonly Operand[] => {
    const given = call.inputs.map(place);
    if (isMoving(call)) {
      const floating = given.filter(isFloating);
      if (floating.every(({ type }) => type === floating[0].type)) return given;
    }
    const isHalf = halved.products.has(call) || (isMoving(call) && halved.values.has(call.outputs[0]));
    const type = isHalf ? ELEMENT.bfloat16 : ELEMENT.float32;
    return given.map((each) => isFloating(each) ? converted(each, type) : each);
  };
  const emitCall = (call: Call) => {
    const inputs = inputsOf(call);
    const names = lowerCall(call, inputs, add, graph.constant);
    call.outputs.forEach((value, k) => {
      const { shape, dtype } = types[value];
      const declared = elementOf(dtype);
      const isHalf = declared === ELEMENT.float32 &&
        (halved.products.has(call) || (isMoving(call) && inputs[0].type === ELEMENT.bfloat16));
      const made = { name: names[k], shape, type: isHalf ? ELEMENT.bfloat16 : declared };
      const wanted = halved.values.has(value) ? ELEMENT.bfloat16 : declared;
      values.set(value, isFloating(made) ? converted(made, wanted) : made);
    });
  };
  const emitCluster = (cluster: Cluster) => {
    const exported = cluster.filter((i) => !isAlias(calls[i])).map((i) => calls[i].outputs[0])
      .filter((value) => outside.has(value));
    const { inputs, outputs, body } = fuse(program, cluster, exported, halved.values, lowerCall);
    const operands = inputs.map(place);
    const made = body(operands);
    // What depends on the state alone could be computed at the step's start, and would be kept until it is used.
    const varies = inputs.some((value) => varying.has(value));
    const waits = varies || turn === undefined ? [] : [`^${turn}`];
    const node = add("PartitionedCall", [...operands.map(({ name }) => name), ...waits], {
      Tin: { types: made.inputs },
      Tout: { types: made.outputs.map(({ type }) => type) },
      f: { function: graph.define(made) },
      _XlaMustCompile: { bool: true },
    });
    if (varies) turn = node;
    outputs.forEach((value, k) => {
      const { shape } = types[value];
      values.set(value, { name: k === 0 ? node : `${node}:${k}`, shape, type: made.outputs[k].type });
    });
  };

  calls.forEach((call, i) => {
    if (call.region !== region) {
      [region, wait] = [call.region, call.region === 0 || last === undefined ? undefined : last];
      inRegion = new Map();
    }
    const isNeeded = !clusterOf.has(i) || call.outputs.some((value) => outside.has(value));
    if (isNeeded && !values.has(call.outputs[0])) emit(i);
  });
  return place;
}

/** Values that are read outside the cluster that makes them; a reshape's reader outside reads what is reshaped. */
function readOutside(program: Program, clusterOf: ReadonlyMap<number, Cluster>): ReadonlySet<ValueId> {
  const { calls, outputs } = program;
  const maker = new Map(calls.flatMap((call, i) => call.outputs.map((value) => [value, i] as const)));
  const read = new Set<ValueId>();
  const readFrom = (value: ValueId, cluster: Cluster | undefined) => {
    const i = maker.get(value);
    if (i === undefined || (cluster !== undefined && clusterOf.get(i) === cluster)) return;
    read.add(value);
    if (isAlias(calls[i])) readFrom(calls[i].inputs[0], undefined);
  };
  calls.forEach((call, i) => call.inputs.forEach((value) => readFrom(value, clusterOf.get(i))));
  outputs.forEach((value) => readFrom(value, undefined));
  return read;
}
