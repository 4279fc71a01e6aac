/**
 * The memory of a recurrent function's calls, by the types of its tensors alone: nothing is allocated.
 *
 * @module
 */
import type { BackendName } from "../engine/interface.ts";
import { engineKind } from "../engine/kinds.ts";
import type { Precision } from "../engine/precision.ts";
import type { StoredForm } from "../engine/stored.ts";
import { flatten, type Params, type Tree } from "../tree.ts";
import { keeping, largestConvolved, largestUnpacked, processBytes } from "./keeping.ts";
import { planMemory, type ValueType } from "./program.ts";
import type { RecurrentFunction } from "./recurrence.ts";
import { halve, nothingHalved } from "./tensorflow/half.ts";
import { trace } from "./trace.ts";

/** Settings of {@linkcode planRecurrent}. */
export interface RecurrentPlanOptions {
  /** The backend that is to compute it. */
  readonly backend: BackendName;
  /** Precision of parameters and matrix products (default float32). */
  readonly precision?: Precision;
  /** What parameters are kept as, those that are, by path. */
  readonly forms?: ReadonlyMap<string, StoredForm>;
  /** Whether products of a few rows are left to a kernel of our own where the engine has it (default yes). */
  readonly ownProducts?: boolean;
}

/** What calls take, in bytes. */
export interface RecurrentPlan {
  /** Parameters. */
  readonly parameters: number;
  /** What is kept between calls. */
  readonly kept: number;
  /** Largest number of bytes alive at once, all of these included. */
  readonly peakBytes: number;
  /** Kernel calls. */
  readonly calls: number;
  /** What the process takes at the peak, its own memory included, as the engine was measured. */
  readonly processBytes: number;
}

const typesIn = flatten((node): node is ValueType => Array.isArray((node as Partial<ValueType> | null)?.shape));

/**
 * Plans a call.
 *
 * @param f The function
 * @param types Types of parameters, of what is kept, and of the input
 * @param options See {@linkcode RecurrentPlanOptions}
 */
export function planRecurrent(
  f: RecurrentFunction,
  types: Readonly<Record<"parameters" | "kept" | "input", Tree<ValueType>>>,
  { backend, precision = "float32", forms, ownProducts = true }: RecurrentPlanOptions,
): RecurrentPlan {
  const given = typesIn([types.parameters, types.kept, types.input]);
  const traced = trace(
    (inputs) => {
      const [results, added] = f(...given.rebuild(inputs) as [Params, Params, Params]);
      return [...Object.values(results), ...Object.values(added)];
    },
    given.leaves,
    { precision, backend: engineKind(backend).name },
  );
  const program = engineKind(backend).passes()(traced);
  const paths = Object.keys(types.parameters);
  const kept = paths.length + Object.keys(types.kept).length;
  const { bytes, during, isHalf, isQuantised } = keeping(program, {
    halved: precision === "bf16" ? halve(program, kept) : nothingHalved,
    forms: paths.map((path) => forms?.get(path)),
    readsStored: ownProducts ? engineKind(backend).readsStored : undefined,
  });
  const total = (from: number, to: number) =>
    program.inputs.slice(from, to).reduce((sum, each) => sum + bytes(each), 0);
  const [parameters, state] = [total(0, paths.length), total(paths.length, kept)];
  const { peakBytes } = planMemory(program, bytes, during);
  const calls = program.calls.length;
  const made = peakBytes - parameters - state;
  const inHalves = program.inputs.slice(0, paths.length).filter(isHalf).reduce((sum, each) => sum + bytes(each), 0);
  const unpackedNumbers = largestUnpacked(program, isQuantised);
  return {
    parameters,
    kept: state,
    peakBytes,
    calls,
    processBytes: processBytes(backend, {
      ...{ peakBytes, made, calls, inHalves, unpackedNumbers },
      convolved: largestConvolved(program, bytes),
    }),
  };
}
