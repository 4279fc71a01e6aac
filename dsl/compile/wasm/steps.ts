/**
 * A program as steps over memory: kernels of ours as the calls that they consist of, the others as they are.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { ownKernelOf } from "../../engine/wasm/mod.ts";
import type { Heap } from "../../engine/wasm/module.ts";
import { markStored, storedForm } from "../../engine/stored.ts";
import { record, type Recorded, referenceOf, standIn, type Task } from "../../engine/wasm/recorder.ts";
import { type Call, isAlias, type Program, type ValueId } from "../program.ts";
import type { ReplayOptions } from "../replay.ts";
import { type Root, rootsOf } from "../roots.ts";

/** What a step touches. */
interface Touching {
  /** Roots that it reads. */
  readonly reads: readonly number[];
  /** Roots that it writes. */
  readonly writes: readonly number[];
}

/** Calls of one of our functions. */
export interface TaskStep extends Touching {
  /** The calls. */
  readonly task: Task;
}

/** A kernel of tfjs, on the calling thread. */
export interface HostStep extends Touching {
  /** The call. */
  readonly call: Call;
  /** The kernel. */
  readonly kernel: tf.KernelFunc;
}

/** Values that must be right before what follows may run. */
export interface CheckStep extends Touching {
  /** What is asked of them. */
  readonly holds: (values: Int32Array) => boolean;
  /** What is said where they are not. */
  readonly message: string;
}

/** A number that decides whether state moves. */
export interface GateStep extends Touching {
  /** Where it is. */
  readonly gate: number;
}

/** One step. */
export type Step = TaskStep | HostStep | CheckStep | GateStep;

/** A program's steps. */
export interface Steps {
  /** Where it runs. */
  readonly heap: Heap;
  /** All memory. */
  readonly roots: readonly Root[];
  /** The root whose memory each value shares. */
  readonly rootOf: (value: ValueId) => number;
  /** What is done, in order. */
  readonly steps: readonly Step[];
}

/** Types of elements that lie in memory as numbers. */
const PLAIN: ReadonlySet<string> = new Set(["float32", "int32", "bool"]);

/** The inputs of a call, as its kernel takes them. */
export function inputsOf<Input>({ inputs, names }: Call, of: (value: ValueId) => Input): Record<string, Input> {
  if (names === undefined) return inputs.map(of) as unknown as Record<string, Input>;
  return Object.fromEntries(inputs.map((value, i) => [names[i], of(value)]));
}

/** Numbers of tensors that a kernel makes while it is recorded; the roots' are below. */
const FRESH = 2 ** 19;

/** The steps of a recorded kernel, once it is known which roots the tensors are that it made. */
function tasksOf({ tasks }: Recorded, made: readonly number[], results: readonly number[]): readonly TaskStep[] {
  const own = new Set(made);
  return tasks.map(({ called, chunks }) => {
    const touched = new Set<number>();
    const resolved = chunks.map((args) =>
      args.map((arg) => {
        const reference = referenceOf(arg);
        if (reference === undefined) return arg;
        const root = reference.root < FRESH ? reference.root : made[reference.root - FRESH];
        touched.add(root);
        return standIn(root) + reference.offset;
      })
    );
    const all = [...touched];
    return {
      task: { called, chunks: resolved },
      // Parts of a result may be written side by side; what a kernel makes for itself is made before it is read.
      reads: all.filter((root) => !results.includes(root)),
      writes: all.filter((root) => own.has(root)),
    };
  });
}

/** Which roots the tensors are that a recorded kernel made: its results', and new ones for those that it gave back. */
function rootsMade(
  { results, scratch }: Recorded,
  order: readonly tf.TensorInfo[],
  writes: readonly number[],
  roots: Root[],
): readonly number[] {
  return order.map((tensor) => {
    const at = results.findIndex(({ dataId }) => dataId === tensor.dataId);
    if (at >= 0) return writes[at];
    if (!scratch.some(({ dataId }) => dataId === tensor.dataId)) throw new Error("a kernel kept a tensor of its own");
    return roots.push({ type: tensor, place: "arena" }) - 1;
  });
}

/**
 * The steps of a program.
 *
 * @param program The program
 * @param constants The tensors of its constants
 * @param options What its inputs are stored as, where some are, and who multiplies these
 * @returns Nothing where its kernels are not ours, or a value does not lie in memory as plain numbers
 */
export function stepsOf(
  program: Program,
  constants: ReadonlyMap<ValueId, tf.Tensor>,
  { forms = [], ownProducts = false }: Pick<ReplayOptions, "forms" | "ownProducts"> = {},
): Steps | undefined {
  const backend = tf.getBackend();
  const { types, calls } = program;
  const kernels = calls.map(({ kernel }) => tf.getKernel(kernel, backend)?.kernelFunc);
  const heap = kernels.map((kernel) => kernel && ownKernelOf(kernel)?.heap).find((each) => each !== undefined);
  if (
    heap === undefined || !types.every(({ dtype }) => PLAIN.has(dtype)) || kernels.some((each) => each === undefined)
  ) {
    return undefined;
  }
  const { roots, rootOf } = rootsOf(program);
  const fixed = new Map([...constants].map(([value, tensor]) => [rootOf.get(value)!, tensor]));
  const numbers = new Map<object, number>();
  const infoOf = (value: ValueId): tf.TensorInfo => {
    const info = { dataId: {}, shape: [...types[value].shape], dtype: types[value].dtype };
    const root = rootOf.get(value)!;
    numbers.set(info.dataId, root);
    const { place } = roots[root];
    const form = typeof place === "string"
      ? undefined
      : "input" in place
      ? forms[place.input]
      : storedForm(constants.get(place.constant)!);
    return form === undefined ? info : markStored(info, form);
  };
  const addressOf = ({ dataId }: tf.TensorInfo): number => {
    const root = numbers.get(dataId)!;
    const tensor = fixed.get(root);
    return tensor === undefined ? standIn(root) : heap.address(tensor);
  };
  const steps = calls.flatMap((call, i): readonly Step[] => {
    if (isAlias(call)) return [];
    const kernel = kernels[i]!;
    const writes = call.outputs.map((value) => rootOf.get(value)!);
    const own = ownKernelOf(kernel);
    const order: tf.TensorInfo[] = [];
    const numbering = { address: addressOf, add: (tensor: tf.TensorInfo) => FRESH + order.push(tensor) - 1 };
    const given = { inputs: inputsOf(call, infoOf), attrs: call.attrs };
    const recorded = own && record(own.kernel, given, { ...heap, ownProducts }, numbering);
    if (recorded === undefined) {
      return [{ call, kernel, reads: call.inputs.map((value) => rootOf.get(value)!), writes }];
    }
    const checks = recorded.checks.map(({ tensor, holds, message }): CheckStep => {
      return { reads: [numbers.get(tensor.dataId)!], writes: [], holds, message };
    });
    return [...checks, ...tasksOf(recorded, rootsMade(recorded, order, writes, roots), writes)];
  });
  return { heap, roots, rootOf: (value) => rootOf.get(value)!, steps };
}
