/**
 * Programs on the wasm engine as one list of calls over planned memory, which its threads work through by themselves.
 *
 * @module
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import type { CallList, ListedCall } from "../../engine/wasm/list.ts";
import { referenceOf } from "../../engine/wasm/recorder.ts";
import { Field, STRIDE } from "../../engine/wasm/serve.ts";
import { flow } from "fp-ts/function";
import { sizeOf } from "../../tree.ts";
import type { Pass } from "../passes.ts";
import { bytesOf, type Program, type ValueId } from "../program.ts";
import {
  constantTensors,
  kernelPasses,
  plainReplayer,
  type Replayer,
  replayer,
  type ReplayOptions,
} from "../replay.ts";
import { resultsOf, type Root } from "../roots.ts";
import { returnsMany } from "../trace.ts";
import { moveRotary } from "./rotary.ts";
import { type Group, groupsOf, type OwnStep, planArena } from "./schedule.ts";
import { type CheckStep, type HostStep, inputsOf, type Steps, stepsOf, type TaskStep } from "./steps.ts";

/** What is used here of the fields that tfjs-wasm keeps to itself. */
interface Inside {
  readonly wasm: {
    readonly HEAPU8: Uint8Array<ArrayBuffer>;
    readonly tfjs: {
      readonly registerTensor: (id: number, size: number, address: number) => void;
      readonly disposeData: (id: number) => void;
    };
  };
  readonly dataIdMap: tf.DataStorage<object>;
  dataIdNextNumber: number;
}

/** Calls of the list that run without the calling thread's own steps between them, and what comes after. */
interface Segment {
  readonly first: number;
  readonly end: number;
  readonly then?: OwnStep;
}

/** An argument that is an address. */
interface Relocation {
  /** Its place among the list's numbers. */
  readonly at: number;
  readonly root: number;
  readonly offset: number;
}

/** The groups as one list. */
interface Listing {
  readonly calls: readonly ListedCall[];
  readonly segments: readonly Segment[];
  readonly relocations: readonly Relocation[];
}

function listingOf(groups: readonly Group[]): Listing {
  const calls: ListedCall[] = [];
  const segments: Segment[] = [];
  const relocations: Relocation[] = [];
  let first = 0;
  const close = (then?: OwnStep) => {
    if (first < calls.length || then !== undefined) segments.push({ first, end: calls.length, then });
    first = calls.length;
  };
  for (const group of groups) {
    if (!Array.isArray(group)) {
      close(group as OwnStep);
      continue;
    }
    const after = calls.length;
    for (const { task: { called, chunks } } of group as readonly TaskStep[]) {
      for (const args of chunks) {
        const at = calls.push({ called, args, after }) - 1;
        args.forEach((arg, i) => {
          const reference = referenceOf(arg);
          if (reference !== undefined) relocations.push({ at: at * STRIDE + Field.first + i, ...reference });
        });
      }
    }
  }
  close();
  return { calls, segments, relocations };
}

/** Where the memory of a root is: with a tensor, or at an address of the arena. */
type Home = { readonly dataId: tf.DataId } | number;

/** Runs a kernel of tfjs on memory that tensors have, or that lies in the arena. */
function runHost(step: HostStep, { types }: Program, { rootOf }: Steps, homes: readonly Home[]): void {
  const backend = tf.backend() as BackendWasm;
  const inside = backend as unknown as Inside;
  const lent: { readonly id: number }[] = [];
  const infoOf = (value: ValueId): tf.TensorInfo => {
    const type = { shape: [...types[value].shape], dtype: types[value].dtype };
    const home = homes[rootOf(value)];
    if (typeof home !== "number") return { dataId: home.dataId, ...type };
    const dataId = { id: inside.dataIdNextNumber++ };
    inside.dataIdMap.set(dataId, { id: dataId.id, memoryOffset: home, refCount: 1, ...type });
    inside.wasm.tfjs.registerTensor(dataId.id, sizeOf(type.shape), home);
    lent.push(dataId);
    return { dataId, ...type };
  };
  const { call, kernel, writes } = step;
  try {
    const found = kernel({ inputs: inputsOf(call, infoOf) as tf.NamedTensorInfoMap, attrs: call.attrs, backend });
    const results = returnsMany(call.kernel) ? found as tf.TensorInfo[] : [found as tf.TensorInfo];
    writes.forEach((root, i) => {
      const home = homes[root];
      const from = backend.getMemoryOffset(results[i].dataId);
      const to = typeof home === "number" ? home : backend.getMemoryOffset(home.dataId);
      inside.wasm.HEAPU8.copyWithin(to, from, from + bytesOf(types[call.outputs[i]]));
    });
    for (const result of results) {
      if (result instanceof tf.Tensor) result.dispose();
      else backend.disposeData(result.dataId);
    }
  } finally {
    for (const dataId of lent) {
      inside.wasm.tfjs.disposeData(dataId.id);
      inside.dataIdMap.delete(dataId);
    }
  }
}

/** Refuses values with which the kernels after them must not run. */
function check({ reads: [root], holds, message }: CheckStep, { type }: Root, homes: readonly Home[]): void {
  const backend = tf.backend() as BackendWasm;
  const home = homes[root];
  const address = typeof home === "number" ? home : backend.getMemoryOffset(home.dataId);
  const { buffer } = (backend as unknown as Inside).wasm.HEAPU8;
  if (!holds(new Int32Array(buffer, address, sizeOf(type.shape)))) throw new Error(message);
}

/** A program's list, made when it first runs. */
function listed(program: Program, steps: Steps, constants: ReadonlyMap<ValueId, tf.Tensor>): Replayer {
  const { heap, roots } = steps;
  const groups = groupsOf(steps.steps);
  const plan = planArena(roots, groups);
  const { calls, segments, relocations } = listingOf(groups);
  const ofArena = relocations.filter(({ root }) => roots[root].place === "arena");
  const others = relocations.filter(({ root }) => roots[root].place !== "arena");
  heap.arena.hold();
  let list: CallList | undefined;
  let base = -1;
  /** Where everything is in this run; results get memory of their own. */
  const homesOf = (inputs: readonly tf.Tensor[], arena: number, made: tf.TensorInfo[]): readonly Home[] =>
    roots.map(({ type, place }, root) => {
      if (place === "arena") return arena + (plan.offsets.get(root) ?? 0);
      if (place === "result") {
        made.push(heap.output(type.shape, type.dtype));
        return made[made.length - 1];
      }
      return "input" in place ? inputs[place.input] : constants.get(place.constant)!;
    });
  return {
    run(inputs) {
      list ??= heap.list(calls);
      const { numbers } = list;
      const arena = heap.arena.reserve(plan.bytes);
      if (arena !== base) {
        for (const { at, root, offset } of ofArena) numbers[at] = arena + plan.offsets.get(root)! + offset;
        base = arena;
      }
      const made: tf.TensorInfo[] = [];
      try {
        const homes = homesOf(inputs, arena, made);
        const addresses = homes.map((home) => typeof home === "number" ? home : heap.address(home as tf.TensorInfo));
        for (const { at, root, offset } of others) numbers[at] = addresses[root] + offset;
        for (const { first, end, then } of segments) {
          if (end > first) list.run(first, end);
          if (then === undefined) continue;
          if ("holds" in then) check(then, roots[then.reads[0]], homes);
          else runHost(then, program, steps, homes);
        }
        return resultsOf(program, steps, inputs, constants, (root) => (homes[root] as tf.TensorInfo).dataId);
      } catch (error) {
        for (const info of made) heap.release(info);
        throw error;
      }
    },
    dispose() {
      list?.free();
      heap.arena.release();
      for (const [value, { kind }] of program.constants) if (kind === "numbers") constants.get(value)!.dispose();
    },
  };
}

/**
 * The passes of a program on the wasm engine.
 *
 * @param fuse Whether to join calls
 */
export function wasmPasses(fuse = true): Pass {
  const own = kernelPasses("wasm", fuse);
  return fuse ? flow(own, moveRotary) : own;
}

/**
 * A traced program made ready for the wasm engine: one list of calls where its kernels are ours, else kernel by kernel.
 *
 * @param traced The program as it was traced
 * @param options See {@linkcode ReplayOptions}
 */
export function replayAsList(
  traced: Program,
  { fuse, forms, ownProducts }: ReplayOptions = {},
): { readonly program: Program; readonly replay: Replayer } {
  const program = wasmPasses(fuse)(traced);
  const prepare = (body: Program): Replayer => {
    const constants = constantTensors(body);
    const steps = stepsOf(body, constants, { forms, ownProducts });
    if (steps !== undefined) return listed(body, steps, constants);
    for (const [value, { kind }] of body.constants) if (kind === "numbers") constants.get(value)!.dispose();
    return plainReplayer(body);
  };
  return { program, replay: replayer(program, prepare) };
}
