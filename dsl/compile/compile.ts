/**
 * `compile(f)`: the function f, traced once for each signature of its inputs and replayed from then on.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { pipe } from "fp-ts/function";
import { isOnGpu } from "../engine/tensorflow.ts";
import { fuseBias, simplify } from "./passes.ts";
import { type MemoryPlan, planMemory, type Program, type ValueType } from "./program.ts";
import { type Replayer, replayer } from "./replay.ts";
import { prepareGraph } from "./tensorflow/prepare.ts";
import { graphReplayer } from "./tensorflow/replay.ts";
import { trace } from "./trace.ts";

/** Arguments or results: tensors in arrays and records, nested; other leaves are part of the signature. */
export type Structure = unknown;

/** Tensors taken out of a structure, and the structure around them. */
interface Flat {
  readonly tensors: readonly tf.Tensor[];
  /** Everything else, as text: equal texts, equal structures. */
  readonly skeleton: string;
  /** The structure again, around other tensors. */
  readonly rebuild: (tensors: readonly tf.Tensor[]) => Structure;
}

function flatten(structure: Structure): Flat {
  const tensors: tf.Tensor[] = [];
  const describe = (node: Structure): unknown => {
    if (node instanceof tf.Tensor) {
      tensors.push(node);
      return { tensor: [node.dtype, ...node.shape] };
    }
    if (Array.isArray(node)) return node.map(describe);
    if (typeof node === "object" && node !== null) {
      return { record: Object.entries(node).map(([name, value]) => [name, describe(value)]) };
    }
    return { leaf: node === undefined ? "undefined" : node };
  };
  const skeleton = JSON.stringify(describe(structure));
  const rebuild = (others: readonly tf.Tensor[]): Structure => {
    let next = 0;
    const build = (node: Structure): Structure => {
      if (node instanceof tf.Tensor) return others[next++];
      if (Array.isArray(node)) return node.map(build);
      if (typeof node === "object" && node !== null) {
        return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, build(value)]));
      }
      return node;
    };
    return build(structure);
  };
  return { tensors, skeleton, rebuild };
}

/** A program for one signature, ready to run. */
interface Entry {
  readonly program: Program;
  readonly replay: Replayer;
  readonly rebuild: Flat["rebuild"];
}

/** A program, and what runs it. */
type Runs = Omit<Entry, "rebuild">;

function kernelByKernel(traced: Program, { fuse = true }: CompileOptions): Runs {
  const canFuse = fuse && tf.getKernel("_FusedMatMul", tf.getBackend()) !== undefined;
  const program = pipe(traced, simplify, canFuse ? fuseBias : (same) => same);
  return { program, replay: replayer(program) };
}

/**
 * The program as one TensorFlow graph. None on other backends, on GPUs, to which the weights would have to go each time,
 * and if the graph cannot be made.
 */
function asGraph(traced: Program): Runs | undefined {
  if (tf.getBackend() !== "tensorflow" || isOnGpu()) return undefined;
  const program = prepareGraph(traced);
  try {
    return { program, replay: graphReplayer(program) };
  } catch {
    return undefined;
  }
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

/** Settings of {@linkcode compile}. */
export interface CompileOptions {
  /** Fuse bias additions into matrix products (default true). */
  readonly fuse?: boolean;
  /**
   * Run it as one TensorFlow graph where the tensorflow backend computes on a CPU: faster, but made in seconds, so for
   * what is called often (default false).
   */
  readonly graph?: boolean;
}

/**
 * Compiles a pure function of tensors: it is run once on abstract tensors for each signature (structure, shapes and
 * types of its arguments), simplified, and from then on replayed with every tensor freed at its last use.
 *
 * Numbers made while tracing are constants of the program, so randomness must come in through the arguments. Tensors
 * that the function closes over must outlive it.
 *
 * @param f Function of tensors nested in arrays and records
 * @param options See {@linkcode CompileOptions}
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
  options: CompileOptions = {},
): Compiled<Arguments, Result> {
  const entries = new Map<string, Entry>();
  const entryFor = (flat: Flat): Entry => {
    const signature = `${tf.getBackend()} ${flat.skeleton}`;
    const known = entries.get(signature);
    if (known !== undefined) return known;
    let rebuild: Flat["rebuild"] | undefined;
    const types: ValueType[] = flat.tensors.map(({ shape, dtype }) => ({ shape, dtype }));
    const traced = trace((inputs) => {
      const result = flatten(f(...flat.rebuild(inputs) as unknown as Arguments));
      rebuild = result.rebuild;
      return result.tensors;
    }, types);
    const runs = (options.graph === true ? asGraph(traced) : undefined) ?? kernelByKernel(traced, options);
    const entry = { ...runs, rebuild: rebuild! };
    entries.set(signature, entry);
    return entry;
  };
  const call = (...args: Arguments): Result => {
    const flat = flatten(args);
    const { replay, rebuild } = entryFor(flat);
    return rebuild(replay.run(flat.tensors)) as Result;
  };
  return Object.assign(call, {
    program: (...args: Arguments) => entryFor(flatten(args)).program,
    plan: (...args: Arguments) => planMemory(entryFor(flatten(args)).program),
    dispose: () => {
      for (const { replay } of entries.values()) replay.dispose();
      entries.clear();
    },
  });
}
