/**
 * Who makes and who reads what in a program.
 *
 * @module
 */
import { type Call, isAlias, type Program, type ValueId } from "./program.ts";

/** Which calls read a value, in order. */
export function readersOf({ calls }: Program): ReadonlyMap<ValueId, readonly number[]> {
  const readers = new Map<ValueId, number[]>();
  calls.forEach(({ inputs }, i) => {
    for (const value of new Set(inputs)) {
      const known = readers.get(value);
      if (known === undefined) readers.set(value, [i]);
      else known.push(i);
    }
  });
  return readers;
}

/** Where a value's memory is read, through other shapes of it. */
export function usesOf(program: Program): (value: ValueId) => readonly number[] {
  const { calls } = program;
  const readers = readersOf(program);
  const find = (value: ValueId): readonly number[] =>
    (readers.get(value) ?? []).flatMap((i) => isAlias(calls[i]) ? find(calls[i].outputs[0]) : [i]);
  return find;
}

/** The call that makes each value, of some calls. */
export function makersOf(calls: readonly Call[]): ReadonlyMap<ValueId, Call> {
  return new Map(calls.flatMap((call) => call.outputs.map((value) => [value, call] as const)));
}

/** The place of the call that makes each value, of some calls. */
export function placesOf(calls: readonly Call[]): ReadonlyMap<ValueId, number> {
  return new Map(calls.flatMap((call, i) => call.outputs.map((value) => [value, i] as const)));
}

/** The value that a value is another shape of. */
export function sourcesOf({ calls }: Program): (value: ValueId) => ValueId {
  const sources = new Map(calls.filter(isAlias).map(({ inputs: [input], outputs: [output] }) => [output, input]));
  const find = (value: ValueId): ValueId => sources.has(value) ? find(sources.get(value)!) : value;
  return find;
}

/**
 * Finds the vector that values are all the parts of, in order.
 *
 * @param program The program
 * @returns The vector's value, if there is one
 */
export function vectorsIn({ calls, types }: Program): (parts: readonly ValueId[]) => ValueId | undefined {
  const splits = makersOf(
    calls.filter(({ kernel, inputs: [vector] }) => kernel === "SplitV" && types[vector].shape.length === 1),
  );
  return (parts) => {
    const split = splits.get(parts[0]);
    return `${split?.outputs}` === `${parts}` ? split!.inputs[0] : undefined;
  };
}

/** How many times each value is read, results included. */
export function readers(program: Program): ReadonlyMap<ValueId, number> {
  const uses = new Map<ValueId, number>();
  for (const value of [...program.outputs, ...program.calls.flatMap(({ inputs }) => inputs)]) {
    uses.set(value, (uses.get(value) ?? 0) + 1);
  }
  return uses;
}
