/**
 * State that a program moves in the memory that it has: a result that comes after an input is written over it, once nothing
 * reads the input any more. New tensors beside the old ones would take that much more.
 *
 * @module
 */
import { type BytesOf, bytesOf, type Call, type Program, type ValueId } from "./program.ts";
import { sizeOf } from "../tree.ts";
import { placesOf, sourcesOf, usesOf } from "./uses.ts";

/** What a program moves, by places among its inputs and results. */
export interface Moving {
  /** Results, each with the input that it comes after. */
  readonly pairs: readonly (readonly [input: number, output: number])[];
  /** The result, a number, without which nothing moves unless it is finite. */
  readonly gate: number;
}

/** Kernels that read each element of an operand of their results' size before they write there. */
const BY_ELEMENT: ReadonlySet<string> = new Set([
  "Add",
  "AdamwStep",
  "Elementwise",
  "Maximum",
  "Minimum",
  "Multiply",
  "RealDiv",
  "Sub",
]);

/** A result that is written over an input. */
export interface Moved {
  /** Place of the input. */
  readonly input: number;
  /** Place of the result. */
  readonly output: number;
  /** The value whose memory the result is. */
  readonly value: ValueId;
  /** The call that makes it. */
  readonly writer: number;
}

/** Whether a call reads each element of an input before it writes one there; what it reads for all elements it may not write over. */
function readsFirst({ types }: Program, { kernel, outputs: [made] }: Call, current: ValueId): boolean {
  return BY_ELEMENT.has(kernel) && sizeOf(types[made].shape) === sizeOf(types[current].shape);
}

/** The call that makes a result: -1 for a constant, none for an input or where there is no such result. */
function knownAt(program: Program, output: number): number {
  const value = sourcesOf(program)(program.outputs[output]);
  return placesOf(program.calls).get(value) ?? (program.constants.has(value) ? -1 : Infinity);
}

/** Whether something besides what moves is computed from what has moved. */
function isReadOn({ calls, outputs }: Program, moved: readonly Moved[], pairs: Moving["pairs"]): boolean {
  const later = new Set(moved.map(({ value }) => value));
  for (const { inputs, outputs } of calls) {
    if (inputs.some((value) => later.has(value))) { for (const value of outputs) later.add(value); }
  }
  const next = new Set(pairs.map(([, output]) => output));
  return outputs.some((value, place) => !next.has(place) && later.has(value));
}

/**
 * The results that can be written over what they come after: nothing reads that later, nothing else is it, and the number that
 * decides is known by then. Nothing moves where results that stay are computed from what has moved.
 *
 * @param program The program
 * @param moving What it moves
 * @param isPlain Whether an input's memory is numbers of its type (default: all are)
 */
export function movedIn(
  program: Program,
  { pairs, gate }: Moving,
  isPlain: (input: number) => boolean = () => true,
): readonly Moved[] {
  const { inputs, outputs, calls, types } = program;
  const [source, uses, placeOf] = [sourcesOf(program), usesOf(program), placesOf(calls)];
  const known = knownAt(program, gate);
  const times = new Map<ValueId, number>();
  for (const value of outputs.map(source)) times.set(value, (times.get(value) ?? 0) + 1);
  const moved = pairs.flatMap(([input, output]): Moved[] => {
    const [current, value] = [inputs[input], source(outputs[output])];
    const writer = placeOf.get(value);
    const [before, after] = [types[current], types[outputs[output]]];
    if (writer === undefined || writer <= known || times.get(value) !== 1 || times.has(current)) return [];
    if (before.dtype !== after.dtype || `${before.shape}` !== `${after.shape}` || !isPlain(input)) return [];
    const isOver = uses(current).every((reader) =>
      reader < writer || reader === writer && readsFirst(program, calls[reader], current)
    );
    return isOver ? [{ input, output, value, writer }] : [];
  });
  return isReadOn(program, moved, pairs) ? [] : moved;
}

/**
 * The memory of a program's values where what moves has none of its own.
 *
 * @param program The program
 * @param moving What it moves, if anything
 * @param bytes Memory of each value otherwise (default: that of its type)
 */
export function besideMoved(
  program: Program,
  moving: Moving | undefined,
  bytes: BytesOf = (value) => bytesOf(program.types[value]),
): BytesOf {
  const moved = new Set(moving === undefined ? [] : movedIn(program, moving).map(({ value }) => value));
  return (value) => moved.has(value) ? 0 : bytes(value);
}

/**
 * Moves state as soon as it can be: when the last of what its call needs is there, and nothing reads it as it was. Gradients
 * so go one by one instead of waiting for each other.
 *
 * @param program The program
 * @param moving What it moves
 */
export function moveEarly(program: Program, moving: Moving): Program {
  const { calls, inputs } = program;
  const moved = movedIn(program, moving);
  if (moved.length === 0) return program;
  const [uses, placeOf] = [usesOf(program), placesOf(calls)];
  const known = knownAt(program, moving.gate);
  // An update begins where it first reads what no forward pass does.
  const state = moving.pairs.flatMap(([input]) => {
    const [first = Infinity] = uses(inputs[input]).toSorted((a, b) => a - b);
    return first > known ? [first] : [];
  });
  const begin = Math.min(...moved.map(({ writer }) => writer), ...state);
  const needs = new Map<number, number>();
  const parts = new Map<number, readonly number[]>();
  const overwritten = new Map<number, ValueId[]>();
  for (const { input, writer } of moved) overwritten.set(writer, [...overwritten.get(writer) ?? [], inputs[input]]);
  /** What of the update a call comes after, and the last call of the rest that it does. */
  const need = (call: number): number => {
    const found = needs.get(call);
    if (found !== undefined) return found;
    const made = calls[call].inputs.flatMap((value) => placeOf.get(value) ?? []);
    const read = (overwritten.get(call) ?? []).flatMap(uses);
    const before = [...new Set([...made, ...read])].filter((each) => each !== call);
    parts.set(call, before.filter((each) => each >= begin));
    const last = Math.max(
      overwritten.has(call) ? known : -1,
      ...before.map((each) => each < begin ? each : need(each)),
    );
    needs.set(call, last);
    return last;
  };
  const wanted = new Map<number, number[]>();
  for (const { writer } of moved) {
    const at = need(writer);
    if (at < begin - 1) wanted.set(at, [...wanted.get(at) ?? [], writer]);
  }
  const done = new Set<number>();
  const order: number[] = [];
  const take = (call: number) => {
    if (done.has(call)) return;
    done.add(call);
    for (const each of parts.get(call) ?? []) take(each);
    order.push(call);
  };
  for (let call = 0; call < begin; call++) {
    order.push(call);
    for (const each of new Set(wanted.get(call) ?? [])) take(each);
  }
  for (let call = begin; call < calls.length; call++) take(call);
  return { ...program, calls: order.map((call) => calls[call]) };
}
