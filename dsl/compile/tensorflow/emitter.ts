/**
 * Calls of a program as nodes of a TensorFlow graph, one after the other.
 *
 * @module
 */
import { isBlockForm } from "../../blocks.ts";
import { ELEMENT, elementOf, type ElementType } from "../../engine/tensorflow_graph/graph.ts";
import { OneloraError } from "../../error.ts";
import { sizeOf } from "../../tree.ts";
import type { Call, Program, ValueId } from "../program.ts";
import { type BlockOperand, type ChosenRows, hasWholeRows, unpackedBlocks } from "./blocks.ts";
import type { NodeSink } from "./function_builder.ts";
import type { LowerCall } from "./functions.ts";
import { type Halved, isMoving } from "./half.ts";
import { computing } from "./kernels.ts";
import { inType, type Lowering, type Operand } from "./lowering.ts";
import { masking } from "./masking.ts";
import { rowProductRules } from "./row_products.ts";
import { attentionRules, isCustomCall } from "./seen_attention.ts";
import { shaping } from "./shaping.ts";
import { unpacked } from "./stored.ts";

const RULES: Readonly<Record<string, Lowering>> = {
  ...computing,
  ...shaping,
  ...masking,
  ...rowProductRules,
  ...attentionRules,
};

/** Names of the kernels that can be lowered. */
const lowerableKernels: readonly string[] = Object.keys(RULES);

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
export function nodeOf(output: string): string {
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
export interface Unpacking {
  readonly all: Unpack;
  readonly rows: UnpackRows;
}

/** Where they are made among the other nodes. */
export function inPlace(sink: NodeSink): Unpacking {
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
  /** What may be stored in another form as numbers, which are made once a node is done. */
  readonly asNumbers: (operand: Operand, after?: string) => Operand;
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
  const made = (operand: Operand, type: ElementType, others: readonly Operand[], after?: string): Operand => {
    const read = others.filter(({ stored }) => stored === undefined).map(({ name }) => nodeOf(name));
    const waits = [...read, before, after].filter((node) => node !== undefined);
    const name = unpacking.all(operand, type, [...new Set(waits)]);
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
    // Our kernels read operands as they are.
    if (isCustomCall(call)) return placed;
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
    asNumbers: (operand, after) => operand.stored === undefined ? operand : made(operand, operand.type, [], after),
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
