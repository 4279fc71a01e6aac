/**
 * Rotary positions in the pass over memory that brings heads before positions, or positions before heads.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { makersOf, readersOf } from "../uses.ts";
import type { Call, Program } from "../program.ts";

/** Whether a call exchanges the two axes in the middle of four. */
function isExchange({ kernel, attrs }: Call): boolean {
  return kernel === "Transpose" && `${attrs.perm}` === "0,2,1,3";
}

/**
 * Joins rotations with the exchange of axes before or after them, where nothing else reads what is between the two.
 *
 * @param program The program
 */
export function moveRotary(program: Program): Program {
  if (tf.getKernel("RotaryMoved", "wasm") === undefined) return program;
  const readers = readersOf(program);
  const maker = makersOf(program.calls);
  const joined = new Map<Call, Call>();
  const left = new Set<Call>();
  for (const call of program.calls) {
    const before = maker.get(call.inputs[0]);
    const isOnly = readers.get(call.inputs[0])?.length === 1 && !program.outputs.includes(call.inputs[0]);
    if (before === undefined || left.has(before) || joined.has(before) || !isOnly) continue;
    const isAfter = call.kernel === "Rotary" && isExchange(before);
    if (!isAfter && !(before.kernel === "Rotary" && isExchange(call))) continue;
    const { inputs: [, ...tables], attrs: { back } } = isAfter ? call : before;
    left.add(before);
    joined.set(call, {
      ...call,
      kernel: "RotaryMoved",
      inputs: [before.inputs[0], ...tables],
      names: ["x", "cos", "sin"],
      attrs: { back, axis: isAfter ? 1 : 2 },
    });
  }
  return {
    ...program,
    calls: program.calls.filter((call) => !left.has(call)).map((call) => joined.get(call) ?? call),
  };
}
