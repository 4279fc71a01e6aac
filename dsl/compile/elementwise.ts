/**
 * Elementwise calls that follow each other joined into one, `Elementwise`, which passes over memory once.
 *
 * @module
 */
import type { NamedAttrMap } from "@tensorflow/tfjs-core";
import { writeNumbers } from "../files/json.ts";
import { sizeOf } from "../tree.ts";
import type { Formula, FormulaOp, FormulaStep, WideOp } from "./formula.ts";
import { commonAxes, joinAxes, stepsAlong } from "./common_axes.ts";
import { fixedValues } from "./fixed.ts";
import { removeDead } from "./passes.ts";
import { sourcesOf } from "./uses.ts";
import { type Call, isAlias, type Program, segmentsOf, type ValueId } from "./program.ts";

/** Operations by the kernels that do them one at a time. */
const OPS: Readonly<Record<string, FormulaOp>> = {
  Abs: "abs",
  Add: "add",
  Cast: "number",
  ClipByValue: "clip",
  Equal: "equal",
  Exp: "exp",
  Greater: "greater",
  GreaterEqual: "greaterEqual",
  Less: "less",
  LessEqual: "lessEqual",
  Log: "log",
  LogicalAnd: "and",
  LogicalNot: "not",
  LogicalOr: "or",
  Maximum: "maximum",
  Minimum: "minimum",
  Multiply: "multiply",
  Neg: "negate",
  NotEqual: "notEqual",
  RealDiv: "divide",
  Reciprocal: "inverse",
  Relu: "relu",
  Rsqrt: "inverseRoot",
  Select: "select",
  Sigmoid: "sigmoid",
  Sqrt: "root",
  Square: "square",
  SquaredDifference: "squaredDifference",
  Step: "step",
  Sub: "subtract",
};

/** What an engine joins. */
export interface Joining {
  /** Operations of calls, besides those that every engine joins. */
  readonly wideOp?: (call: Call) => WideOp | undefined;
  /** Smallest tensors that are worth a kernel of their own (default 256). */
  readonly least?: number;
  /** Most tensors that a kernel reads and writes (default 16). */
  readonly mostTensors?: number;
}

/** The settings of an engine, with the defaults. */
type Rules = Required<Joining>;

function rulesOf({ wideOp = () => undefined, least = 256, mostTensors = 16 }: Joining): Rules {
  return { wideOp, least, mostTensors };
}

function opOf(call: Call, { wideOp }: Rules): FormulaOp | WideOp | undefined {
  return OPS[call.kernel] ?? wideOp(call);
}

/** Most calls between two that are joined: what is computed later keeps what it reads alive until then. */
const MOST_BETWEEN = 32;

/** Calls being joined. */
interface Draft {
  readonly calls: number[];
  readonly size: number;
  readonly segment: number;
  /** Whether something else has read a result, so that nothing computed later can be part of it. */
  isClosed: boolean;
}

function isFusible(call: Call, { types }: Program, rules: Rules): boolean {
  if (opOf(call, rules) === undefined) return false;
  const [output] = call.outputs;
  const isMask = ({ dtype }: { readonly dtype: string }) => dtype === "bool";
  const known = [...call.inputs, output].every((value) => types[value].dtype === "float32" || isMask(types[value]));
  const reads = call.inputs.map((value) => isMask(types[value]));
  const takesMasks = call.kernel === "Select"
    ? reads[0] && !reads[1] && !reads[2]
    : reads.every((mask) => mask === ["Cast", "LogicalAnd", "LogicalNot", "LogicalOr"].includes(call.kernel));
  return known && takesMasks && sizeOf(types[output].shape) >= rules.least &&
    (call.kernel !== "Cast" || !isMask(types[output]));
}

/** A formula and the values that it reads and makes. */
export interface Fused {
  /** What is computed. */
  readonly formula: Formula;
  /** Its inputs. */
  readonly reads: readonly ValueId[];
  /** Its results. */
  readonly makes: readonly ValueId[];
}

/** What calls compute together; nothing where their shapes do not fit or too many tensors meet. */
function formulaOf(
  program: Program,
  members: readonly number[],
  rootOf: (value: ValueId) => ValueId,
  isRead: (value: ValueId) => boolean,
  rules: Rules,
): Fused | undefined {
  const { calls, types } = program;
  const axes = commonAxes(members.map((i) => types[calls[i].outputs[0]].shape));
  if (axes === undefined) return undefined;
  const made = new Map(members.map((i, at) => [calls[i].outputs[0], at]));
  const reads: { readonly value: ValueId; readonly steps: readonly number[] }[] = [];
  const inputNumber = (value: ValueId, shape: readonly number[]): number => {
    const steps = stepsAlong(axes, shape, types[value].shape);
    const root = rootOf(value);
    const known = reads.findIndex((each) => each.value === root && `${each.steps}` === `${steps}`);
    return known >= 0 ? known : reads.push({ value: root, steps }) - 1;
  };
  // Inputs are numbered first, so results get their numbers once all inputs are known.
  const drafts = members.map((i) => {
    const { inputs, outputs: [output] } = calls[i];
    return inputs.map((value) => {
      const at = made.get(rootOf(value));
      return at === undefined ? { isInput: true, at: inputNumber(value, types[output].shape) } : { isInput: false, at };
    });
  });
  const steps = members.map((i, at): FormulaStep => {
    const settings = settingsOf(calls[i].kernel, calls[i].attrs);
    const args = drafts[at].map((arg) => arg.isInput ? arg.at : reads.length + arg.at);
    return { op: opOf(calls[i], rules)!, args, ...(settings.length > 0 ? { settings } : {}) };
  });
  const outputs = members.flatMap((i, at) => isRead(calls[i].outputs[0]) ? [at] : []);
  const joined = joinAxes(axes, reads.map((each) => each.steps));
  if (joined.lengths.length > 4 || reads.length + outputs.length > rules.mostTensors) return undefined;
  return {
    formula: { ...joined, steps, outputs: outputs.map((at) => reads.length + at) },
    reads: reads.map(({ value }) => value),
    makes: outputs.map((at) => calls[members[at]].outputs[0]),
  };
}

function settingsOf(kernel: string, attrs: NamedAttrMap): readonly number[] {
  if (kernel === "ClipByValue") return [Number(attrs.clipValueMin), Number(attrs.clipValueMax)];
  return kernel === "Step" ? [Number(attrs.alpha ?? 0)] : [];
}

/** The calls that read each value or another shape of it; -1 stands for the program's caller. */
function readersOf(program: Program, rootOf: (value: ValueId) => ValueId): ReadonlyMap<ValueId, readonly number[]> {
  const readers = new Map<ValueId, number[]>();
  const note = (value: ValueId, reader: number) => {
    const root = rootOf(value);
    readers.set(root, [...readers.get(root) ?? [], reader]);
  };
  for (const value of program.outputs) note(value, -1);
  program.calls.forEach((call, i) => {
    if (!isAlias(call)) { for (const value of call.inputs) note(value, i); }
  });
  return readers;
}

/** Which calls are joined, given those that can be. */
function draftsOf(program: Program, canJoin: (i: number) => boolean, rules: Rules): readonly Draft[] {
  const { calls, types } = program;
  const rootOf = sourcesOf(program);
  const readers = readersOf(program, rootOf);
  const segment = segmentsOf(program);
  const home = new Map<ValueId, Draft>();
  const drafts = new Set<Draft>();
  calls.forEach((call, i) => {
    if (isAlias(call)) return;
    const near = new Set(call.inputs.flatMap((value) => home.get(rootOf(value)) ?? []));
    const [output] = call.outputs;
    let own: Draft | undefined;
    if (canJoin(i)) {
      const size = sizeOf(types[output].shape);
      own = { calls: [i], size, segment: segment[i], isClosed: false };
      for (const each of near) {
        const fits = !each.isClosed && each.size === size && each.segment === segment[i] &&
          i - each.calls[each.calls.length - 1] <= MOST_BETWEEN;
        const both: number[] = [...each.calls, ...own.calls].sort((a, b) => a - b);
        const isRead = (value: ValueId) =>
          readers.get(rootOf(value))?.some((reader) => !both.includes(reader)) ?? false;
        if (!fits || formulaOf(program, both, rootOf, isRead, rules) === undefined) continue;
        own.calls.splice(0, own.calls.length, ...both);
        drafts.delete(each);
        near.delete(each);
      }
      drafts.add(own);
      for (const member of own.calls) home.set(calls[member].outputs[0], own);
    }
    for (const each of near) each.isClosed = true;
  });
  return [...drafts];
}

/**
 * What a single call computes, if it is elementwise.
 *
 * @param program The program
 * @param index Number of the call
 * @param joining What the engine computes
 */
export function formulaOfCall(program: Program, index: number, joining: Joining): Fused | undefined {
  const rules = rulesOf(joining);
  if (opOf(program.calls[index], rules) === undefined) return undefined;
  return formulaOf(program, [index], (value) => value, () => true, rules);
}

/**
 * Joins elementwise calls, broadcasts included, where nothing else reads what lies between them before they are done. Calls
 * of different regions stay apart, and what depends on constants alone is left to be computed once.
 *
 * @param program The program
 * @param joining What the engine joins (default: what the wasm engine does)
 */
export function fuseElementwise(program: Program, joining: Joining = {}): Program {
  const { calls, types } = program;
  const rules = rulesOf(joining);
  const rootOf = sourcesOf(program);
  const fixed = fixedValues(program);
  const refused = new Set<number>();
  const canJoin = (i: number) =>
    !refused.has(i) && isFusible(calls[i], program, rules) && !calls[i].outputs.every((value) => fixed.has(value));
  const fusedOf = (): readonly (readonly [members: readonly number[], fused: Fused])[] => {
    const drafts = draftsOf(program, canJoin, rules);
    const memberOf = new Map(drafts.flatMap((draft) => draft.calls.map((i) => [i, draft] as const)));
    const readBy = new Map<ValueId, Set<Draft | "other">>();
    const note = (value: ValueId, reader: Draft | "other") => {
      const root = rootOf(value);
      if (!readBy.has(root)) readBy.set(root, new Set());
      readBy.get(root)!.add(reader);
    };
    for (const value of program.outputs) note(value, "other");
    calls.forEach((call, i) => {
      if (!isAlias(call)) { for (const value of call.inputs) note(value, memberOf.get(i) ?? "other"); }
    });
    return drafts.flatMap((draft) => {
      const isRead = (value: ValueId) => [...readBy.get(value) ?? []].some((reader) => reader !== draft);
      const fused = formulaOf(program, draft.calls, rootOf, isRead, rules);
      if (fused === undefined || fused.makes.length === 0) {
        for (const i of draft.calls) refused.add(i);
        return [];
      }
      // Masks have no memory of their own: what makes or reads one from elsewhere stays a kernel of its own.
      const masks = new Set([...fused.reads, ...fused.makes].filter((value) => types[value].dtype === "bool"));
      for (const i of draft.calls) {
        if ([...calls[i].inputs, ...calls[i].outputs].some((value) => masks.has(rootOf(value)))) refused.add(i);
      }
      return [[draft.calls, fused] as const];
    });
  };
  let [found, before] = [fusedOf(), 0];
  while (refused.size > before) [before, found] = [refused.size, fusedOf()];

  const at = new Map(found.map(([members, fused]) => [members[members.length - 1], fused]));
  const joined = new Set(found.flatMap(([members]) => members));
  const pending = new Set(found.flatMap(([members]) => members.map((i) => calls[i].outputs[0])));
  const waiting: Call[] = [];
  const rebuilt = calls.flatMap((call, i): readonly Call[] => {
    if (isAlias(call) && pending.has(rootOf(call.outputs[0]))) {
      waiting.push(call);
      return [];
    }
    if (!joined.has(i)) return [call];
    const fused = at.get(i);
    if (fused === undefined) return [];
    for (const value of fused.makes) pending.delete(value);
    const own: Call = {
      kernel: "Elementwise",
      inputs: fused.reads,
      attrs: {
        formula: writeNumbers(fused.formula),
        shapes: fused.makes.map((value) => [...types[value].shape]),
      } as unknown as NamedAttrMap,
      outputs: fused.makes,
      region: call.region,
    };
    const ready = waiting.filter((each) => fused.makes.includes(rootOf(each.outputs[0])));
    for (const each of ready) waiting.splice(waiting.indexOf(each), 1);
    return [own, ...ready];
  });
  return removeDead({ ...program, calls: rebuilt });
}
