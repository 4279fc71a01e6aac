/**
 * Which of a program's results are written over inputs as it runs on the wasm engine.
 *
 * @module
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { movedIn, type Moving } from "../moving.ts";
import type { Program } from "../program.ts";
import type { ReplayOptions } from "../replay.ts";
import type { GateStep, Step, Steps } from "./steps.ts";

/** A program's steps, and what they write over. */
interface Over {
  /** The input of each root that is written over one. */
  readonly inputs: ReadonlyMap<number, number>;
  /** All of them, with the one that decides before the first that does. */
  readonly steps: readonly Step[];
}

/**
 * What a program's steps write over its inputs.
 *
 * @param program The program
 * @param steps Its steps
 * @param given What it may move
 * @param forms What its inputs are stored as, where some are
 */
export function moving(
  program: Program,
  { steps, roots, rootOf }: Steps,
  given: Moving | undefined,
  forms: ReplayOptions["forms"],
): Over {
  const moved = given === undefined ? [] : movedIn(program, given, (input) => forms?.[input] === undefined);
  const inputs = new Map(moved.map(({ input, value }) => [rootOf(value), input] as const));
  const first = steps.findIndex(({ writes }) => writes.some((root) => inputs.has(root)));
  if (given === undefined || first < 0) return { inputs: new Map(), steps };
  const gate = rootOf(program.outputs[given.gate]);
  if (roots[gate].type.dtype !== "float32") return { inputs: new Map(), steps };
  const decides: GateStep = { gate, reads: [gate], writes: [] };
  return { inputs, steps: steps.toSpliced(first, 0, decides) };
}

/**
 * Which of a run's inputs nobody else has the data of.
 *
 * @param inputs All of them
 */
export function ownAmong(inputs: readonly tf.Tensor[]): (input: number) => boolean {
  const backend = tf.backend() as BackendWasm;
  const times = new Map<object, number>();
  for (const { dataId } of inputs) times.set(dataId, (times.get(dataId) ?? 0) + 1);
  return (input) => times.get(inputs[input].dataId) === 1 && backend.refCount(inputs[input].dataId) === 1;
}
