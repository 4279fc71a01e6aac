/**
 * Moving state in a few long vectors. Optimisers join small tensors, work on the vector, and part it again
 * (optimise/bundle.ts): where a vector is what stays between steps, nothing is joined or parted any more, and a vision
 * transformer's 220 small updates are as many as there are vectors.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import { isJoining, removeDead } from "../passes.ts";
import { sourcesOf, vectorsIn } from "../uses.ts";
import type { ValueId } from "../program.ts";
import type { StepProgram } from "./step_program.ts";

/** A step whose moving state is in vectors. */
export interface Joined {
  /** The step: moving inputs and outputs are vectors, then what stays a tensor of its own. */
  readonly step: StepProgram;
  /** For each moving input, the numbers of those of the step before that it is made of; one for what stays as it is. */
  readonly members: readonly (readonly number[])[];
  /**
   * Members of vectors that the program reads one by one, by their numbers in the step before: given besides its inputs. A session
   * gives them without copying, a compiled function would copy each.
   */
  readonly read: readonly number[];
}

/** A vector to be: the moving tensors that are joined, and the vector that the step makes of the next ones. */
interface Vector {
  readonly members: readonly number[];
  readonly next: ValueId;
}

/** Tensors that a step joins when it begins, and parts in the same order when it ends. */
function vectorsOf({ program, fixed, moving }: StepProgram): readonly Vector[] {
  const rootOf = sourcesOf(program);
  const place = new Map(program.inputs.slice(fixed, fixed + moving).map((value, i) => [value, i] as const));
  const results = program.outputs.slice(0, moving).map(rootOf);
  const vectorOf = vectorsIn(program);
  const taken = new Set<number>();
  return program.calls.flatMap((call): readonly Vector[] => {
    if (!isJoining(call, program)) return [];
    const members = call.inputs.map((value) => place.get(rootOf(value)));
    const isFree = members.every((each): each is number => each !== undefined && !taken.has(each)) &&
      new Set(members).size === members.length;
    if (!isFree) return [];
    const next = vectorOf(members.map((each) => results[each]));
    if (next === undefined) return [];
    for (const each of members) taken.add(each);
    return [{ members, next }];
  });
}

/**
 * Joins a step's moving tensors to vectors where it does so itself: what it joins is the vector, what it parts is not parted.
 * The numbers are the same.
 *
 * @param step The step; calls that stay as they are stay the same objects
 */
export function joinState(step: StepProgram): Joined {
  const { program, fixed, moving, loss } = step;
  const vectors = vectorsOf(step);
  const joined = new Set(vectors.flatMap(({ members }) => members));
  const alone = Array.from({ length: moving }, (_, i) => i).filter((i) => !joined.has(i));
  const members = [...vectors.map((vector) => vector.members), ...alone.map((i) => [i])];
  if (vectors.length === 0) return { step, members, read: [] };

  const types = [...program.types];
  const given = program.inputs.slice(fixed, fixed + moving);
  const rootOf = sourcesOf(program);
  const wholes = new Map<string, ValueId>();
  const made = vectors.map(({ members }): ValueId => {
    const values = members.map((i) => given[i]);
    const size = values.reduce((sum, value) => sum + sizeOf(types[value].shape), 0);
    const vector = types.push({ shape: [size], dtype: "float32" }) - 1;
    wholes.set(`${values}`, vector);
    return vector;
  });
  // What joins all members in their order has the vector.
  const instead = new Map<ValueId, ValueId>();
  for (const call of program.calls) {
    const whole = isJoining(call, program) ? wholes.get(`${call.inputs.map(rootOf)}`) : undefined;
    if (whole !== undefined) instead.set(call.outputs[0], whole);
  }
  const final = (value: ValueId) => instead.get(value) ?? value;
  const calls = program.calls.map((call) =>
    call.inputs.some((value) => instead.has(value)) ? { ...call, inputs: call.inputs.map(final) } : call
  );
  const others = program.inputs.slice(fixed + moving);
  const changed = removeDead({
    ...program,
    types,
    inputs: [...program.inputs.slice(0, fixed), ...made, ...alone.map((i) => given[i]), ...others],
    outputs: [
      ...vectors.map(({ next }) => final(next)),
      ...alone.map((i) => final(program.outputs[i])),
      ...program.outputs.slice(moving).map(final),
    ],
    calls,
  });
  const needed = new Set([...changed.outputs, ...changed.calls.flatMap(({ inputs }) => inputs)]);
  return {
    members,
    read: [...joined].filter((i) => needed.has(given[i])).sort((a, b) => a - b),
    step: { ...step, moving: members.length, loss: loss - moving + members.length, program: changed },
  };
}
