/**
 * The memory of a program's values as they are kept: in their own type, in halves, or quantised.
 *
 * @module
 */
import type { BackendName, Planned, Product } from "../engine/interface.ts";
import { engineKind } from "../engine/kinds.ts";
import { isHalfForm, storedBytes, type StoredForm } from "../engine/stored.ts";
import { type Path, sizeOf } from "../tree.ts";
import { type BytesOf, bytesOf, type Call, type Program, type ValueId } from "./program.ts";
import { compiledKernels, isCompiled, readsQuantised } from "./tensorflow/grouped.ts";
import type { Halved } from "./tensorflow/half.ts";

/** Kernels of matrix products. */
const PRODUCTS: ReadonlySet<string> = new Set(["BatchMatMul", "_FusedMatMul"]);

/** What is kept in another form than its own. */
export interface Kept {
  /** What is in bfloat16. */
  readonly halved: Halved;
  /** What the first inputs are kept as, those that are. */
  readonly forms: readonly (StoredForm | undefined)[];
  /** Whether a product reads stored matrices as they are (default none). */
  readonly readsStored?: (product: Product) => boolean;
}

/** The memory of a program. */
export interface Keeping {
  /** Bytes of a value. */
  readonly bytes: BytesOf;
  /** Bytes of the numbers that values of other forms are made into for a call; of a table only the rows that are looked up. */
  readonly during: (call: Call) => number;
  /** The kernels that make these numbers, by what sets one apart from another. */
  readonly unpacking: (call: Call) => readonly string[];
  /** Whether a value has two bytes for each number. */
  readonly isHalf: (value: ValueId) => boolean;
  /** Whether a value is in IEEE's halves. */
  readonly isFloat16: (value: ValueId) => boolean;
  /** Whether a value is quantised. */
  readonly isQuantised: (value: ValueId) => boolean;
}

/**
 * The memory of a program's values.
 *
 * @param program The program
 * @param kept What is kept in another form
 */
export function keeping({ inputs, types }: Program, { halved, forms, readsStored }: Kept): Keeping {
  const formOf = new Map(forms.flatMap((form, i) => form === undefined ? [] : [[inputs[i], form] as const]));
  const isHalf = (value: ValueId) => formOf.has(value) ? isHalfForm(formOf.get(value)!) : halved.values.has(value);
  const isQuantised = (value: ValueId) => formOf.has(value) && !isHalf(value);
  // What is computed in float32 of matrices kept in bfloat16, as outside of steps, is converted first, or by the kernel.
  const isConverted = (call: Call, value: ValueId) =>
    isQuantised(value) ||
    isHalf(value) && !halved.values.has(value) && !halved.products.has(call) && !isCompiled(call);
  const isReadAsItIs = (call: Call, value: ValueId) => {
    const { kernel, inputs: [a, b], attrs } = call;
    return readsQuantised(call) || PRODUCTS.has(kernel) && value === b && readsStored?.({
            shapes: [types[a].shape, types[b].shape],
            transposed: [attrs.transposeA === true, attrs.transposeB === true],
          }) === true;
  };
  const unpacked = (call: Call) =>
    call.inputs.filter((value) => formOf.has(value) && isConverted(call, value) && !isReadAsItIs(call, value)).map(
      (value) => ({
        value,
        read: call.kernel === "GatherV2" ? call.outputs[0] : value,
        isHalf: halved.products.has(call),
      }),
    );
  return {
    isHalf,
    isFloat16: (value) => formOf.get(value) === "f16",
    isQuantised,
    bytes: (value) => {
      const form = formOf.get(value);
      if (form !== undefined) return storedBytes(form, types[value].shape);
      return bytesOf(types[value]) / (isHalf(value) ? 2 : 1);
    },
    during: (call) =>
      unpacked(call).reduce((sum, { read, isHalf }) => sum + sizeOf(types[read].shape) * (isHalf ? 2 : 4), 0),
    unpacking: (call) =>
      unpacked(call).filter(({ value }) => isQuantised(value)).map(({ value, read, isHalf }) =>
        `${formOf.get(value)} ${types[value].shape} ${types[read].shape} ${isHalf}`
      ),
  };
}

/**
 * Numbers of the largest quantised matrix that calls read whole.
 *
 * @param program The program
 * @param isQuantised Whether a value is quantised
 */
export function largestUnpacked({ calls, types }: Program, isQuantised: (value: ValueId) => boolean): number {
  const read = calls.filter(({ kernel }) => kernel !== "GatherV2").flatMap(({ inputs }) => inputs.filter(isQuantised));
  return read.reduce((most, value) => Math.max(most, sizeOf(types[value].shape)), 0);
}

/** What a process's memory follows from. */
export interface ProcessSizes extends Planned {
  /** Largest number of bytes of tensors alive at once. */
  readonly peakBytes: number;
  /** Of these, what calls made. */
  readonly made: number;
  /** Calls of the program, those in compiled kernels included. */
  readonly calls: number;
  /** The kernels that make numbers of what is stored. */
  readonly unpacking: Keeping["unpacking"];
  /** What ran before in the same process. */
  readonly after?: Ran;
}

/** What was run in a process that goes on to something else, its state still there. */
export interface Ran extends ProcessSizes {
  /** Bytes of each parameter, by path, as it is kept. */
  readonly parameters: ReadonlyMap<Path, number>;
}

/** What an engine that follows no places has alive at most, whatever is run last. */
function aliveAtMost({ peakBytes, after }: ProcessSizes): number {
  if (after === undefined) return peakBytes;
  const { program, state, bytes } = after;
  const kept = program.inputs.slice(0, state).reduce((sum, value) => sum + bytes(value), 0);
  return Math.max(aliveAtMost(after), kept + peakBytes);
}

/**
 * The memory of a process at a program's peak, by what the engine was measured to take besides tensors.
 *
 * @param backend The engine
 * @param sizes What it follows from
 */
export function processBytes(backend: BackendName, sizes: ProcessSizes): number {
  const { overhead: { process, slack }, touched } = engineKind(backend);
  const besides = process + programBytes(backend, sizes) + slack * Math.max(sizes.made, sizes.after?.made ?? 0);
  const running = (touched?.(sizes) ?? aliveAtMost(sizes)) + besides;
  return Math.round(Math.max(running, makingBytes(backend, sizes)));
}

/** What the process takes while the program is made, where what that leaves is collected before it runs. */
function makingBytes(backend: BackendName, { program, bytes, calls, after }: ProcessSizes): number {
  const { overhead: { making }, touched } = engineKind(backend);
  if (making === undefined) return 0;
  const given = program.inputs.reduce((sum, value) => sum + bytes(value), 0);
  const before = after === undefined ? 0 : (touched?.(after) ?? 0) + programBytes(backend, after);
  return before + given + making.process + making.call * calls;
}

/**
 * The memory that a program takes itself, ready to be run.
 *
 * @param backend The engine
 * @param sizes The program, as the engine groups it, with its calls, and the kernels that make numbers for them
 */
export function programBytes(
  backend: BackendName,
  { calls, program, unpacking, after }: Pick<ProcessSizes, "calls" | "program" | "unpacking" | "after">,
): number {
  const { unpacks, overhead: { call, kernel } } = engineKind(backend);
  const made = unpacks === true ? program.calls.flatMap(unpacking) : [];
  const own = call * (calls + made.length) + kernel * (compiledKernels(program) + new Set(made).size);
  return own + (after === undefined ? 0 : programBytes(backend, after));
}
