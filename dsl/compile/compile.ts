/**
 * `compile(f)`: the function f, traced once for each signature of its inputs and replayed from then on.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { engineInUse } from "../engine/in_use.ts";
import type { Running } from "../engine/interface.ts";
import { storedForm } from "../engine/stored.ts";
import { type Flat, flatten } from "../tree.ts";
import { type MemoryPlan, planMemory, type Program, type ValueType } from "./program.ts";
import { besideMoved, type Moving } from "./moving.ts";
import type { ReplayOptions } from "./replay.ts";
import { trace } from "./trace.ts";

const tensorsOf = flatten((node): node is tf.Tensor => node instanceof tf.Tensor);

/** A program for one signature, ready to run. */
interface Entry extends Running {
  readonly moving?: Moving;
  readonly rebuild: Flat<tf.Tensor>["rebuild"];
}

/** What a function moves: tensors that it is given, each with the one that comes after it, and the number that decides. */
export interface Moves {
  /** What is given, and what comes after. */
  readonly pairs: readonly (readonly [given: tf.Tensor, next: tf.Tensor])[];
  /** Nothing moves unless this is finite. */
  readonly gate: tf.Tensor;
}

function movingOf({ pairs, gate }: Moves, given: readonly tf.Tensor[], found: readonly tf.Tensor[]): Moving {
  const [inputs, outputs] = [given, found].map((tensors) => new Map(tensors.map((tensor, i) => [tensor, i])));
  return {
    pairs: pairs.map(([current, next]) => [inputs.get(current)!, outputs.get(next)!]),
    gate: outputs.get(gate)!,
  };
}

/** A compiled function. */
export interface Compiled<Arguments extends readonly unknown[], Result> {
  /** Runs it, tracing first if these types of inputs are new or the backend has changed. */
  (...args: Arguments): Result;
  /** The program for these arguments. */
  readonly program: (...args: Arguments) => Program;
  /** The memory it will take for these arguments. */
  readonly plan: (...args: Arguments) => MemoryPlan;
  /** Frees the constants of all programs. */
  readonly dispose: () => void;
}

/**
 * Compiles a pure function of tensors: it is run once on abstract tensors for each signature (structure, shapes and
 * types of its arguments), simplified, and from then on replayed with every tensor freed at its last use.
 *
 * Numbers made while tracing are constants of the program, so randomness must come in through the arguments. Tensors
 * that the function closes over must outlive it.
 *
 * @param f Function of tensors nested in arrays and records
 * @param options See {@linkcode ReplayOptions}
 *
 * @example
 * ```ts
 * import { compile, useBackend } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * const f = compile((x: tf.Tensor) => tf.sum(tf.square(tf.add(x, 1))));
 * assertEquals(f(tf.tensor1d([1, 2])).dataSync()[0], 13);
 * assertEquals(f.program(tf.tensor1d([1, 2])).calls.map(({ kernel }) => kernel), ["Add", "Square", "Sum"]);
 * ```
 */
export function compile<Arguments extends readonly unknown[], Result>(
  f: (...args: Arguments) => Result,
  options: ReplayOptions = {},
): Compiled<Arguments, Result> {
  return compileMoving(f, undefined, options);
}

/**
 * {@linkcode compile} of a function that may move what it is given in the memory that this has, where the engine can: what is
 * given is then what it returns, moved; whoever has other tensors of the same data keeps them as they were.
 *
 * @param f Function of tensors nested in arrays and records
 * @param moves What it may move
 * @param options See {@linkcode ReplayOptions}
 */
export function compileMoving<Arguments extends readonly unknown[], Result>(
  f: (...args: Arguments) => Result,
  moves: ((args: Arguments, result: Result) => Moves) | undefined,
  options: ReplayOptions = {},
): Compiled<Arguments, Result> {
  const entries = new Map<string, Entry>();
  const entryFor = (flat: Flat<tf.Tensor>): Entry => {
    const types: ValueType[] = flat.leaves.map(({ shape, dtype }) => ({ shape, dtype }));
    const engine = engineInUse();
    const forms = flat.leaves.map(storedForm);
    const signature = [
      engine.name,
      flat.skeleton,
      ...types.map(({ shape, dtype }, i) => `${forms[i] ?? dtype} ${shape}`),
    ].join("|");
    const known = entries.get(signature);
    if (known !== undefined) return known;
    let rebuild: Entry["rebuild"] | undefined;
    let moving: Moving | undefined;
    const traced = trace((inputs) => {
      const args = flat.rebuild(inputs) as unknown as Arguments;
      const found = f(...args);
      const result = tensorsOf(found);
      if (engine.movesInPlace && moves) moving = movingOf(moves(args, found), inputs, result.leaves);
      rebuild = result.rebuild;
      return result.leaves;
    }, types);
    const settings = { ...options, moving };
    const entry = {
      ...engine.replay(traced, forms.some((form) => form !== undefined) ? { ...settings, forms } : settings),
      moving,
      rebuild: rebuild!,
    };
    entries.set(signature, entry);
    return entry;
  };
  const call = (...args: Arguments): Result => {
    const flat = tensorsOf(args);
    const { replay, rebuild } = entryFor(flat);
    return rebuild(replay.run(flat.leaves)) as Result;
  };
  return Object.assign(call, {
    program: (...args: Arguments) => entryFor(tensorsOf(args)).program,
    plan: (...args: Arguments) => {
      const { program, moving } = entryFor(tensorsOf(args));
      return planMemory(program, besideMoved(program, moving));
    },
    dispose: () => {
      for (const { replay } of entries.values()) replay.dispose();
      entries.clear();
    },
  });
}
