/**
 * The memory that a process's tensors come to where TensorFlow runs a program.
 *
 * @module
 */
import type { Planned } from "../../engine/interface.ts";
import { bytesOf, followBuffers, type ValueId } from "../program.ts";
import { type Place, type Regions, regions } from "./regions.ts";

/** Loads a program's state and runs it; what it is given each time is in JavaScript's memory besides. */
function run(memory: Regions, { program, state, bytes, loaded, during, after }: Planned): number {
  const before = after === undefined ? 0 : run(memory, after);
  const places = new Map<ValueId, Place>();
  const given = new Set(program.inputs.slice(0, state));
  for (const value of given) places.set(value, memory.take(loaded(value)));
  const left: Place[] = [];
  for (const value of given) {
    if (loaded(value) === bytes(value)) continue;
    left.push(places.get(value)!);
    places.set(value, memory.take(bytes(value)));
  }
  followBuffers(program, {
    made: (buffer) => places.has(buffer) || places.set(buffer, memory.take(bytes(buffer))),
    freed: (buffer) => {
      memory.give(places.get(buffer)!);
      places.delete(buffer);
    },
    called: (i) => {
      if (i < 0) return;
      const call = program.calls[i];
      // oneDNN puts what a convolution reads in an order of its own.
      const convolved = call.kernel.includes("Conv2D") ? bytes(call.inputs[0]) : 0;
      for (const besides of [during(call), convolved]) if (besides > 0) memory.give(memory.take(besides));
    },
  });
  // What was measured is explained only if a program's tensors stay out of the room of weights that were cast.
  for (const place of left) memory.give(place);
  for (const [value, place] of places) if (!given.has(value) && !program.constants.has(value)) memory.give(place);
  const batch = program.inputs.slice(state).reduce((sum, value) => sum + bytesOf(program.types[value]), 0);
  return Math.max(before, batch);
}

/**
 * Bytes that a program's tensors have touched once it has run, from loading its state on: where TensorFlow puts them, holes
 * included, and a batch in JavaScript's memory.
 *
 * @param planned The program, and what ran before it
 */
export function touched(planned: Planned): number {
  const memory = regions();
  const batch = run(memory, planned);
  return memory.touched() + batch;
}
