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
import type { ReplayOptions } from "./replay.ts";
import { trace } from "./trace.ts";

const tensorsOf = flatten((node): node is tf.Tensor => node instanceof tf.Tensor);

/** A program for one signature, ready to run. */
interface Entry extends Running {
  readonly rebuild: Flat<tf.Tensor>["rebuild"];
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
    const traced = trace((inputs) => {
      const result = tensorsOf(f(...flat.rebuild(inputs) as unknown as Arguments));
      rebuild = result.rebuild;
      return result.leaves;
    }, types);
    const entry = {
      ...engine.replay(traced, forms.some((form) => form !== undefined) ? { ...options, forms } : options),
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
    plan: (...args: Arguments) => planMemory(entryFor(tensorsOf(args)).program),
    dispose: () => {
      for (const { replay } of entries.values()) replay.dispose();
      entries.clear();
    },
  });
}
