/**
 * The memory that a process's tensors come to where TensorFlow runs a program.
 *
 * @module
 */
import type { Planned } from "../../engine/interface.ts";
import { bytesOf, followBuffers, type ValueId } from "../program.ts";
import { type Place, regions } from "./regions.ts";

/**
 * Bytes that a program's tensors have touched once it has run, from loading its state on: where TensorFlow puts them, holes
 * included, and a batch in JavaScript's memory.
 *
 * @param planned The program
 */
export function touched({ program, state, bytes, loaded, during }: Planned): number {
  const memory = regions();
  const places = new Map<ValueId, Place>();
  const given = new Set(program.inputs.slice(0, state));
  for (const value of given) places.set(value, memory.take(loaded(value)));
  for (const value of given) {
    if (loaded(value) === bytes(value)) continue;
    const before = places.get(value)!;
    places.set(value, memory.take(bytes(value)));
    memory.give(before);
  }
  followBuffers(program, {
    made: (buffer) => places.has(buffer) || places.set(buffer, memory.take(bytes(buffer))),
    freed: (buffer) => memory.give(places.get(buffer)!),
    called: (i) => {
      if (i < 0) return;
      const call = program.calls[i];
      // oneDNN puts what a convolution reads in an order of its own.
      const convolved = call.kernel.includes("Conv2D") ? bytes(call.inputs[0]) : 0;
      for (const besides of [during(call), convolved]) if (besides > 0) memory.give(memory.take(besides));
    },
  });
  const batch = program.inputs.slice(state).reduce((sum, value) => sum + bytesOf(program.types[value]), 0);
  return memory.touched() + batch;
}
