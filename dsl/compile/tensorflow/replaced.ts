/**
 * A program with some of its calls replaced by others, in an order in which they can be computed.
 *
 * @module
 */
import { removeDead } from "../passes.ts";
import { makersOf } from "../uses.ts";
import type { Call, Program, ValueType } from "../program.ts";

/** A program in the making: calls that take the place of others. */
export interface Change {
  readonly types: ValueType[];
  /** What comes instead of a call. */
  readonly instead: Map<Call, readonly Call[]>;
}

/** Calls in an order in which each comes after what it reads, otherwise as they were; none if there is no such order. */
function ordered(calls: readonly Call[]): readonly Call[] | undefined {
  const maker = makersOf(calls);
  const found: Call[] = [];
  const state = new Map<Call, "open" | "done">();
  const visit = (call: Call): boolean => {
    if (state.has(call)) return state.get(call) === "done";
    state.set(call, "open");
    const isMade = call.inputs.every((value) => maker.has(value) ? visit(maker.get(value)!) : true);
    state.set(call, "done");
    found.push(call);
    return isMade;
  };
  return calls.every(visit) ? found : undefined;
}

/** The program with some calls replaced; as it was if there is no order for it. */
export function changed(program: Program, { types, instead }: Change): Program {
  if (instead.size === 0) return program;
  const calls = ordered(program.calls.flatMap((call) => instead.get(call) ?? [call]));
  return calls === undefined ? program : removeDead({ ...program, types, calls });
}
