/**
 * Passes: pure functions from program to program that leave its results alone.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { sizeOf } from "../tree.ts";
import { fixedValues } from "./fixed.ts";
import { type Call, isAlias, type Program, reshapeCall, type ValueId } from "./program.ts";
import { makersOf, readers, sourcesOf, vectorsIn } from "./uses.ts";

/** A change of a program that leaves its results alone. */
export type Pass = (program: Program) => Program;

/** The program with some values replaced by equal ones, and some calls left out. */
function rewritten(program: Program, calls: readonly Call[], instead: ReadonlyMap<ValueId, ValueId>): Program {
  const final = (value: ValueId): ValueId => {
    const other = instead.get(value);
    return other === undefined ? value : final(other);
  };
  return {
    ...program,
    calls: calls.map((call) => ({ ...call, inputs: call.inputs.map(final) })),
    outputs: program.outputs.map(final),
  };
}

/** Whether a call permutes axes of size 1 alone, or moves others past those only. */
function isStill({ kernel, inputs: [input], attrs }: Call, { types }: Program): boolean {
  if (kernel !== "Transpose") return false;
  const { shape } = types[input];
  const moved = (attrs.perm as readonly number[]).filter((axis) => shape[axis] !== 1);
  return moved.every((axis, i) => i === 0 || axis > moved[i - 1]);
}

/**
 * Makes permutations that leave all numbers where they are what they are: other shapes.
 *
 * @param program The program
 */
export function reshapeStill(program: Program): Program {
  const reshaped = (call: Call): Call => ({
    ...call,
    kernel: "Reshape",
    names: ["x"],
    attrs: { shape: [...program.types[call.outputs[0]].shape] },
  });
  return { ...program, calls: program.calls.map((call) => isStill(call, program) ? reshaped(call) : call) };
}

/**
 * Leaves out copies: Identity, Cast to the type and Reshape to the shape that are there already; a Reshape of a Reshape starts from the
 * first one's input.
 *
 * @param program The program
 */
export function forwardCopies(program: Program): Program {
  const instead = new Map<ValueId, ValueId>();
  const shapedFrom = new Map<ValueId, ValueId>();
  const final = (value: ValueId): ValueId => instead.has(value) ? final(instead.get(value)!) : value;
  const calls: Call[] = [];
  for (const call of program.calls) {
    const [input] = call.inputs.map(final);
    const [output] = call.outputs;
    const isCopy = isAlias(call) && `${program.types[input].shape}` === `${program.types[output].shape}`;
    const isSameType = call.kernel === "Cast" && program.types[input].dtype === program.types[output].dtype;
    if (call.kernel === "Identity" || isCopy || isSameType) {
      instead.set(output, input);
      continue;
    }
    if (!isAlias(call)) {
      calls.push(call);
      continue;
    }
    const source = shapedFrom.get(input) ?? input;
    shapedFrom.set(output, source);
    if (`${program.types[source].shape}` === `${program.types[output].shape}`) instead.set(output, source);
    else {
      const shape = [...program.types[output].shape];
      calls.push({ ...call, kernel: "Reshape", inputs: [source], names: ["x"], attrs: { shape } });
    }
  }
  return rewritten(program, calls, instead);
}

/**
 * Leaves out calls whose results nothing needs, and constants that are not read.
 *
 * @param program The program
 */
export function removeDead(program: Program): Program {
  const needed = new Set(program.outputs);
  const alive: Call[] = [];
  for (const call of [...program.calls].reverse()) {
    if (!call.outputs.some((value) => needed.has(value))) continue;
    for (const value of call.inputs) needed.add(value);
    alive.push(call);
  }
  const constants = new Map([...program.constants].filter(([value]) => needed.has(value)));
  return { ...program, calls: alive.reverse(), constants };
}

/** What makes two calls equal: kernel, inputs, attributes and region. */
function signature({ kernel, inputs, names, attrs, region }: Call): string {
  return JSON.stringify([kernel, inputs, names, attrs, region]);
}

/** What makes two small constants equal. */
function constantKeys(program: Program): ReadonlyMap<ValueId, string> {
  const keys = new Map<ValueId, string>();
  for (const [value, constant] of program.constants) {
    const { shape, dtype } = program.types[value];
    if (constant.kind === "numbers" && sizeOf(shape) <= 64) {
      keys.set(value, `${dtype} ${shape} ${[...constant.values]}`);
    }
  }
  return keys;
}

/**
 * Computes equal things once: calls of the same region with the same kernel, inputs and attributes, and equal small
 * constants.
 *
 * @param program The program
 */
export function mergeEqual(program: Program): Program {
  const instead = new Map<ValueId, ValueId>();
  const firstConstant = new Map<string, ValueId>();
  for (const [value, key] of constantKeys(program)) {
    const first = firstConstant.get(key);
    if (first === undefined) firstConstant.set(key, value);
    else instead.set(value, first);
  }
  const firstCall = new Map<string, Call>();
  const calls: Call[] = [];
  for (const call of program.calls) {
    const own = { ...call, inputs: call.inputs.map((value) => instead.get(value) ?? value) };
    const key = signature(own);
    const first = firstCall.get(key);
    if (first === undefined) {
      firstCall.set(key, own);
      calls.push(own);
    } else own.outputs.forEach((value, i) => instead.set(value, first.outputs[i]));
  }
  return rewritten(program, calls, instead);
}

/** Whether a call joins tensors to a vector. */
export function isJoining({ kernel, outputs: [output] }: Call, { types }: Program): boolean {
  return kernel === "Concat" && types[output].shape.length === 1;
}

/**
 * Leaves out joining a vector's parts again, whatever shapes they were given in between.
 *
 * @param program The program
 */
export function joinParted(program: Program): Program {
  const [rootOf, vectorOf] = [sourcesOf(program), vectorsIn(program)];
  const instead = new Map<ValueId, ValueId>();
  for (const call of program.calls) {
    const vector = isJoining(call, program) ? vectorOf(call.inputs.map(rootOf)) : undefined;
    if (vector !== undefined) instead.set(call.outputs[0], vector);
  }
  return rewritten(program, program.calls, instead);
}

/** A matrix product and the addition of a bias to its rows, which nothing else reads. */
export interface BiasedProduct {
  /** The product. */
  readonly product: Call;
  /** The addition. */
  readonly add: Call;
  /** The bias, a number per column. */
  readonly bias: ValueId;
}

/**
 * The products that a bias is added to.
 *
 * @param program The program
 */
export function biasedProducts(program: Program): readonly BiasedProduct[] {
  const uses = readers(program);
  const maker = makersOf(program.calls);
  return program.calls.filter(({ kernel }) => kernel === "Add").flatMap((add) => {
    const [left, right] = add.inputs;
    const found = [[left, right], [right, left]].flatMap(([value, bias]) => {
      const product = maker.get(value);
      const { shape } = program.types[value];
      const fits = shape.length === 2 && `${program.types[bias].shape}` === `${shape[1]}`;
      return product?.kernel === "BatchMatMul" && uses.get(value) === 1 && fits ? [{ product, add, bias }] : [];
    });
    return found.slice(0, 1);
  });
}

/**
 * Fuses a matrix product and the bias added to its rows into `_FusedMatMul`, where nothing else reads the product.
 *
 * @param program The program
 */
export function fuseBias(program: Program): Program {
  const types = [...program.types];
  const instead = new Map<Call, readonly Call[]>();
  for (const { product, add, bias } of biasedProducts(program)) {
    const { region, attrs: { transposeA, transposeB } } = product;
    // The kernel takes batches of matrices only.
    const operands = product.inputs.map((value) => reshapeCall(types, value, [1, ...types[value].shape], region));
    const result = types.length;
    types.push({ shape: [1, ...types[add.outputs[0]].shape], dtype: "float32" });
    const fused: Call = {
      kernel: "_FusedMatMul",
      inputs: [...operands.map(({ outputs: [output] }) => output), bias],
      names: ["a", "b", "bias"],
      attrs: { transposeA, transposeB, activation: "linear" },
      outputs: [result],
      region,
    };
    instead.set(product, []);
    instead.set(add, [
      ...operands,
      fused,
      reshapeCall(types, result, types[add.outputs[0]].shape, region, add.outputs[0]),
    ]);
  }
  return { ...program, types, calls: program.calls.flatMap((call) => instead.get(call) ?? [call]) };
}

/** A program cut in two: what depends on constants alone, and the rest. */
export interface Hoisted {
  /** Computes, from nothing, the values that `body` takes as `constants`. */
  readonly prelude: Program;
  /** The values handed over, results of the prelude and constants of the body. */
  readonly handed: readonly ValueId[];
  /** The rest, in which the handed values have no maker. */
  readonly body: Program;
}

/**
 * Constant folding: takes out the calls that give the same result in every run, so that they run once.
 *
 * @param program The program
 */
export function hoistConstants(program: Program): Hoisted {
  const fixed = fixedValues(program);
  const early: Call[] = [];
  const late: Call[] = [];
  for (const call of program.calls) (call.outputs.every((value) => fixed.has(value)) ? early : late).push(call);
  const made = new Set(early.flatMap(({ outputs }) => outputs));
  const read = new Set([...program.outputs, ...late.flatMap(({ inputs }) => inputs)]);
  const handed = [...made].filter((value) => read.has(value));
  return {
    prelude: removeDead({ ...program, inputs: [], outputs: handed, calls: early }),
    handed,
    body: { ...program, calls: late, constants: new Map([...program.constants].filter(([value]) => read.has(value))) },
  };
}

/** The passes every program goes through, whatever runs it. */
export const simplify: Pass = flow(
  reshapeStill,
  forwardCopies,
  removeDead,
  mergeEqual,
  joinParted,
  forwardCopies,
  removeDead,
);
