/**
 * Kernels recorded instead of run: what they would call, with addresses that stand for tensors which have none yet.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import type { FunctionName, Functions } from "./functions.ts";
import type { Call, Kernel } from "./kernel.ts";
import type { Heap } from "./module.ts";
import { OWN_WORK } from "./pool.ts";
import { splits } from "./split.ts";

/** Calls of one function that may run side by side. */
export interface Task {
  /** The function's number. */
  readonly called: number;
  /** Arguments of each call; addresses may be stand-ins. */
  readonly chunks: readonly (readonly number[])[];
}

/** What must hold of a tensor's values before a kernel may run. */
export interface Check {
  /** The tensor. */
  readonly tensor: tf.TensorInfo;
  /** What is asked. */
  readonly holds: (values: Int32Array) => boolean;
  /** What an error says. */
  readonly message: string;
}

/** A kernel as it was recorded. */
export interface Recorded {
  /** What it calls, in order. */
  readonly tasks: readonly Task[];
  /** What it asks first. */
  readonly checks: readonly Check[];
  /** Its results. */
  readonly results: readonly tf.TensorInfo[];
  /** Tensors that it makes for itself. */
  readonly scratch: readonly tf.TensorInfo[];
}

/**
 * Bytes of the address space that each stand-in has: more than a memory, so that what kernels add to an address stays within
 * it, and few enough that a million of them are exact numbers.
 */
const SPAN = 2 ** 33;

/** A stand-in's number and what was added to it; nothing for a plain number. */
export interface Reference {
  /** The tensor's number. */
  readonly root: number;
  /** Bytes from its beginning. */
  readonly offset: number;
}

/**
 * The address that stands for a tensor.
 *
 * @param root The tensor's number
 */
export function standIn(root: number): number {
  return (root + 1) * SPAN + SPAN / 2;
}

/**
 * What an argument refers to.
 *
 * @param value An argument of a recorded call
 */
export function referenceOf(value: number): Reference | undefined {
  // A bias that is not there is the address 0, and sizes are below the span.
  if (!(value >= SPAN)) return undefined;
  const root = Math.floor(value / SPAN) - 1;
  return { root, offset: value - standIn(root) };
}

/** How a recording numbers tensors. */
export interface Numbering {
  /** The address of a tensor that a kernel reads: a stand-in, or where it is. */
  readonly address: (tensor: tf.TensorInfo) => number;
  /** A new tensor's number. */
  readonly add: (tensor: tf.TensorInfo) => number;
}

/**
 * Records a kernel.
 *
 * @param kernel The kernel
 * @param call What it is called with
 * @param heap Where it would run
 * @param numbering Addresses of the tensors
 * @returns Nothing for a call that it leaves to tfjs
 */
export function record(kernel: Kernel, call: Call, heap: Heap, numbering: Numbering): Recorded | undefined {
  const tasks: Task[] = [];
  const checks: Check[] = [];
  const made = new Map<object, number>();
  const scratch: tf.TensorInfo[] = [];
  const functions = new Proxy({} as Functions, {
    get: (_, name: FunctionName) => (...args: readonly number[]) => {
      tasks.push({ called: heap.numberOf(name), chunks: splits[name]?.(args, heap.parts) ?? [args] });
      return 0;
    },
  });
  const recording: Heap = {
    ...heap,
    functions,
    work: OWN_WORK,
    runOwn: (name, compile, chunks) => void tasks.push({ called: heap.numberOfOwn(name, compile), chunks }),
    address: (tensor) => {
      const root = made.get(tensor.dataId);
      return root === undefined ? numbering.address(tensor) : standIn(root);
    },
    output: (shape, dtype = "float32") => {
      const tensor = { dataId: {}, shape: [...shape], dtype };
      made.set(tensor.dataId, numbering.add(tensor));
      return tensor;
    },
    release: (tensor) => void scratch.push(tensor),
    check: (tensor, holds, message) => {
      checks.push({ tensor, holds, message });
      return true;
    },
  };
  const result = kernel(recording, call);
  return result === undefined ? undefined : { tasks, checks, results: [result].flat(), scratch };
}
