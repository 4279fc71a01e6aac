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
import { keeping, processBytes, programBytes, type Ran } from "./keeping.ts";
import { type BytesOf, bytesOf, planMemory, type ValueType } from "./program.ts";
import type { Continued } from "./continuation.ts";
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
  /** What ran before in the same process; parameters that it keeps in the same form are shared. */
  readonly after?: Ran;
  /** Whether it goes on from call to call, and then whether blocks of the model are compiled; else it is a function like others. */
  readonly continues?: { readonly inBlocks: boolean };
}

/** What calls take, in bytes. */
export interface RecurrentPlan {
  /** Parameters. */
  readonly parameters: number;
  /** What is kept between calls. */
  readonly kept: number;
  /** What a call gives. */
  readonly results: number;
  /** Largest number of bytes alive at once, all of these included. */
  readonly peakBytes: number;
  /** Kernel calls. */
  readonly calls: number;
  /** Of what the process takes, what the program does itself. */
  readonly programBytes: number;
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
  { backend, precision = "float32", forms, ownProducts = true, after, continues }: RecurrentPlanOptions,
): RecurrentPlan {
  const { name, passes, grouped, continued, stepKernels } = engineKind(backend);
  const flat = typesIn([types.parameters, types.kept, types.input]);
  const traced = trace(
    (inputs) => {
      const [results, added] = f(...flat.rebuild(inputs) as [Params, Params, Params]);
      return [...Object.values(results), ...Object.values(added)];
    },
    flat.leaves,
    { precision, backend: name, kernels: ownProducts ? stepKernels?.(types.kept, continues?.inBlocks === true) : [] },
  );
  const prepared = passes()(traced);
  const paths = Object.keys(types.parameters);
  const given = paths.map((path) => forms?.get(path));
  const counts = { forms: given, kept: Object.keys(types.kept).length };
  const kept = paths.length + counts.kept;
  const { program, halved, blocks }: Continued =
    continues && continued?.(prepared, { ...counts, precision, ...continues }) ||
    { program: prepared, halved: precision === "bf16" ? halve(prepared, kept) : nothingHalved };
  const readsStored = ownProducts ? engineKind(backend).readsStored : undefined;
  const { bytes, during, unpacking } = keeping(program, { halved, forms: given, readsStored });
  const run = grouped?.(program, halved, blocks) ?? program;
  const total = (from: number, to: number) =>
    program.inputs.slice(from, to).reduce((sum, each) => sum + bytes(each), 0);
  const [parameters, state] = [total(0, paths.length), total(paths.length, kept)];
  const { peakBytes } = planMemory(run, bytes, during);
  // What is kept between calls begins as zeros of its own type, made one after the other.
  const asItIs = new Set(program.inputs.filter((_, i) => given[i] !== undefined || i >= paths.length && i < kept));
  // What another program has in the same form is there already.
  const shared = new Set(
    program.inputs.slice(0, paths.length).filter((value, i) => after?.parameters.get(paths[i]) === bytes(value)),
  );
  const own: BytesOf = (value) => shared.has(value) ? 0 : bytes(value);
  return {
    parameters,
    kept: state,
    results: program.outputs.reduce((sum, value) => sum + bytes(value), 0),
    peakBytes,
    calls: program.calls.length,
    programBytes: programBytes(backend, { calls: program.calls.length, program: run, unpacking }),
    processBytes: processBytes(backend, {
      program: run,
      state: kept,
      bytes: own,
      loaded: (value) => shared.has(value) ? 0 : asItIs.has(value) ? bytes(value) : bytesOf(program.types[value]),
      during,
      peakBytes: shared.size === 0 ? peakBytes : planMemory(run, own, during).peakBytes,
      calls: program.calls.length,
      unpacking,
      made: peakBytes - parameters - state,
      after,
    }),
  };
}
