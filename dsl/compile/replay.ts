/**
 * Replay: runs a program kernel by kernel on any tfjs backend, freeing every tensor right after its last use.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { flow } from "fp-ts/function";
import type { StoredForm } from "../engine/stored.ts";
import { OneloraError } from "../error.ts";
import { fuseElementwise } from "./elementwise.ts";
import type { Moving } from "./moving.ts";
import { fuseBias, hoistConstants, type Pass, simplify } from "./passes.ts";
import { type Call, type Constant, lastUses, type Program, type ValueId } from "./program.ts";
import { returnsMany } from "./trace.ts";

/** A program made ready to run on one backend. */
export interface Replayer {
  /** Runs it; the results are new tensors of the current scope, except inputs handed through. */
  readonly run: (inputs: readonly tf.Tensor[]) => tf.Tensor[];
  /** Frees what it keeps between runs. */
  readonly dispose: () => void;
}

/** Settings of {@linkcode compile}. */
export interface ReplayOptions {
  /** Fuse bias additions into matrix products, and elementwise calls with each other (default true). */
  readonly fuse?: boolean;
  /**
   * Run it as one graph where the engine has graphs: faster, but made in seconds, so for what is called often (default
   * false).
   */
  readonly graph?: boolean;
  /** How often it will be called, where that is known: for a few calls a graph's kernels are not compiled (default: often). */
  readonly calls?: number;
  /**
   * Whether products of a few rows with stored matrices are left to a kernel of our own where the engine has one for programs
   * that are replayed: faster, and sums in another order than of numbers (default false).
   *
   * @internal
   */
  readonly ownProducts?: boolean;
  /**
   * What its inputs are stored as, where some are in another form than their dtype says: those take a graph.
   *
   * @internal
   */
  readonly forms?: readonly (StoredForm | undefined)[];
  /**
   * What may be moved in the memory that it has: such a result is the tensor that it comes after.
   *
   * @internal
   */
  readonly moving?: Moving;
}

/**
 * The passes of a program that is replayed kernel by kernel.
 *
 * @param backend The backend whose kernels they are
 * @param fuse Whether to fuse bias additions into matrix products, and elementwise calls, where it has the kernels
 */
export function kernelPasses(backend: string, fuse = true): Pass {
  const has = (kernel: string) => fuse && tf.getKernel(kernel, backend) !== undefined;
  const biased = has("_FusedMatMul") ? flow(simplify, fuseBias) : simplify;
  return has("Elementwise") ? flow(biased, fuseElementwise) : biased;
}

/**
 * A traced program made ready for the backend in use, kernel by kernel.
 *
 * @param traced The program as it was traced
 * @param options See {@linkcode ReplayOptions}
 */
export function kernelByKernel(
  traced: Program,
  { fuse }: ReplayOptions = {},
): { readonly program: Program; readonly replay: Replayer } {
  const program = kernelPasses(tf.getBackend(), fuse)(traced);
  return { program, replay: replayer(program) };
}

/** One call with its kernel looked up. */
interface Step {
  readonly call: Call;
  readonly kernel: tf.KernelFunc;
  readonly released: readonly ValueId[];
}

function kernelOf(name: string, backend: string): tf.KernelFunc {
  const found = tf.getKernel(name, backend);
  if (found === undefined || found === null) {
    throw new OneloraError({
      attempted: `replaying a program on ${backend}`,
      found: `kernel ${name}, which ${backend} lacks`,
      allowed: "kernels that the backend has",
    });
  }
  return found.kernelFunc;
}

/**
 * A program's constants as tensors of the current backend; those made of numbers are kept.
 *
 * @param program The program
 */
export function constantTensors(program: Program): ReadonlyMap<ValueId, tf.Tensor> {
  return new Map([...program.constants].map(([value, constant]) => {
    if (constant.kind === "tensor") return [value, constant.tensor];
    const { shape, dtype } = program.types[value];
    return [value, tf.keep(tf.tensor(constant.values as tf.TypedArray, [...shape], dtype))];
  }));
}

/**
 * Prepares a program for the current backend: what depends on constants alone is computed now, once.
 *
 * @param program The program
 * @param prepare What makes the rest ready
 * @throws OneloraError if the backend lacks one of its kernels
 */
export function replayer(program: Program, prepare: (program: Program) => Replayer = plainReplayer): Replayer {
  const { prelude, handed, body } = hoistConstants(program);
  if (handed.length === 0) return prepare(program);
  const once = plainReplayer(prelude);
  const folded = tf.tidy(() => once.run([])).map((tensor) => tf.keep(tensor));
  once.dispose();
  const constants = new Map<ValueId, Constant>([
    ...body.constants,
    ...handed.map((value, i) => [value, { kind: "tensor", tensor: folded[i] }] as const),
  ]);
  const rest = prepare({ ...body, constants });
  return {
    run: rest.run,
    dispose: () => {
      rest.dispose();
      tf.dispose(folded);
    },
  };
}

/**
 * Prepares a program to be run call by call.
 *
 * @param program The program
 * @throws OneloraError if the backend lacks one of its kernels
 */
export function plainReplayer(program: Program): Replayer {
  const engine = tf.engine();
  const backendName = tf.getBackend();
  const backend = tf.backend() as tf.KernelBackend & { disposeData(data: object, force?: boolean): boolean };
  const released = lastUses(program);
  const steps: readonly Step[] = program.calls.map((call, i) => ({
    call,
    kernel: kernelOf(call.kernel, backendName),
    released: released[i],
  }));
  const constants = constantTensors(program);
  const given = new Map(program.inputs.map((value, i) => [value, i]));

  // Some backends return tensors that tfjs already counts, or new shapes of such tensors' data: those must stay tensors,
  // so that tfjs's own count goes down when they are freed.
  const owned = (info: tf.TensorInfo): tf.TensorInfo =>
    !(info instanceof tf.Tensor) && engine.state.tensorInfo.has(info.dataId)
      ? engine.makeTensorFromTensorInfo(info)
      : info;

  return {
    run(inputs) {
      const values: (tf.TensorInfo | undefined)[] = new Array(program.types.length);
      for (const [value, tensor] of constants) values[value] = tensor;
      program.inputs.forEach((value, i) => values[value] = inputs[i]);
      for (const { call, kernel, released } of steps) {
        const results = kernel({ inputs: argumentsOf(call, values), attrs: call.attrs, backend });
        const list = returnsMany(call.kernel) ? results as tf.TensorInfo[] : [results as tf.TensorInfo];
        call.outputs.forEach((value, i) => values[value] = owned(list[i]));
        for (const value of released) {
          const last = values[value]!;
          if (last instanceof tf.Tensor) last.dispose();
          else backend.disposeData(last.dataId);
          values[value] = undefined;
        }
      }
      const made = new Map<ValueId, tf.Tensor>();
      return program.outputs.map((value) => {
        if (given.has(value)) return inputs[given.get(value)!];
        if (constants.has(value)) return tf.clone(constants.get(value)!);
        const first = made.get(value);
        if (first !== undefined) return tf.clone(first);
        const info = values[value]!;
        const tensor = info instanceof tf.Tensor ? info : engine.makeTensorFromTensorInfo(info);
        made.set(value, tensor);
        return tensor;
      });
    },
    dispose() {
      for (const [value, constant] of program.constants) {
        if (constant.kind === "numbers") constants.get(value)!.dispose();
      }
    },
  };
}

function argumentsOf({ inputs, names }: Call, values: readonly (tf.TensorInfo | undefined)[]): tf.NamedTensorInfoMap {
  if (names === undefined) return inputs.map((value) => values[value]) as unknown as tf.NamedTensorInfoMap;
  const named: tf.NamedTensorInfoMap = {};
  names.forEach((name, i) => named[name] = values[inputs[i]]);
  return named;
}
