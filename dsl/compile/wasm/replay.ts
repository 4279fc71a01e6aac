/**
 * Programs on the wasm engine as one list of calls over planned memory, which its threads work through by themselves.
 *
 * @module
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { collectGarbage } from "../../garbage.ts";
import type { CallList, ListedCall } from "../../engine/wasm/list.ts";
import { referenceOf } from "../../engine/wasm/recorder.ts";
import { Field, STRIDE } from "../../engine/wasm/serve.ts";
import { flow } from "fp-ts/function";
import { sizeOf } from "../../tree.ts";
import { moveEarly } from "../moving.ts";
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
import { moving, ownAmong } from "./moving.ts";
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

/** Calls of a program whose making leaves megabytes of garbage, and how many of them are worth the time to collect them. */
const [LONG, WORTH] = [256, 32e6];

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

/** Numbers at a place of the memory. */
function numbersAt({ type }: Root, home: Home): ArrayBufferView & ArrayLike<number> {
  const backend = tf.backend() as BackendWasm;
  const address = typeof home === "number" ? home : backend.getMemoryOffset(home.dataId);
  const { buffer } = (backend as unknown as Inside).wasm.HEAPU8;
  const Numbers = type.dtype === "float32" ? Float32Array : Int32Array;
  return new Numbers(buffer, address, sizeOf(type.shape));
}

/** Refuses values with which the kernels after them must not run. */
function check({ reads: [root], holds, message }: CheckStep, type: Root, homes: readonly Home[]): void {
  if (!holds(numbersAt(type, homes[root]) as Int32Array)) throw new Error(message);
}

/** A program's list, made when it first runs. */
function listed(
  program: Program,
  made: Steps,
  constants: ReadonlyMap<ValueId, tf.Tensor>,
  options: ReplayOptions,
): Replayer {
  const { heap, roots, rootOf } = made;
  const { inputs: over, steps } = moving(program, made, options.moving, options.forms);
  const inputRoots = new Map([...over].map(([root, input]) => [root, rootOf(program.inputs[input])]));
  const groups = groupsOf(steps, inputRoots);
  const plan = planArena(roots, groups);
  const { calls, segments, relocations } = listingOf(groups);
  const ofArena = relocations.filter(({ root }) => roots[root].place === "arena");
  const others = relocations.filter(({ root }) => roots[root].place !== "arena");
  const largest = Math.max(0, ...[...over.keys()].map((root) => sizeOf(roots[root].type.shape)));
  heap.arena.hold();
  let list: CallList | undefined;
  let base = -1;
  return {
    run(inputs) {
      if (list === undefined) {
        list = heap.list(calls);
        // Before there is the memory that it works on: V8 would keep what tracing left beside it.
        if (program.calls.length >= LONG) collectGarbage(WORTH);
      }
      const { numbers } = list;
      const arena = heap.arena.reserve(plan.bytes);
      if (arena !== base) {
        for (const { at, root, offset } of ofArena) numbers[at] = arena + plan.offsets.get(root)! + offset;
        base = arena;
      }
      const isOwn = ownAmong(inputs);
      const moved = new Map([...over].filter(([, input]) => isOwn(input)));
      const taken: tf.TensorInfo[] = [];
      const take = (shape: readonly number[], dtype: tf.DataType): tf.TensorInfo => {
        taken.push(heap.output(shape, dtype));
        return taken[taken.length - 1];
      };
      /** Where everything is in this run; results get memory of their own, or that of what they come after. */
      const homes = (): Home[] =>
        roots.map(({ type, place }, root) => {
          const input = moved.get(root);
          if (input !== undefined) return inputs[input];
          if (place === "arena") return arena + (plan.offsets.get(root) ?? 0);
          if (place === "result") return take(type.shape, type.dtype);
          return "input" in place ? inputs[place.input] : constants.get(place.constant)!;
        });
      let discarded: tf.TensorInfo | undefined;
      try {
        const all = homes();
        const relocate = () => {
          const addresses = all.map((home) => typeof home === "number" ? home : heap.address(home as tf.TensorInfo));
          for (const { at, root, offset } of others) numbers[at] = addresses[root] + offset;
        };
        relocate();
        for (const { first, end, then } of segments) {
          if (end > first) list.run(first, end);
          if (then === undefined) continue;
          if ("holds" in then) check(then, roots[then.reads[0]], all);
          else if (!("gate" in then)) runHost(then, program, made, all);
          else if (moved.size > 0 && !Number.isFinite(numbersAt(roots[then.gate], all[then.gate])[0])) {
            // Nothing moves: what would have is written to one place, which nobody reads.
            discarded = take([largest], "float32");
            for (const root of moved.keys()) all[root] = discarded;
            relocate();
          }
        }
        const dataOf = (root: number) => (all[root] as tf.TensorInfo).dataId;
        return resultsOf(program, made, inputs, constants, dataOf, (root) => {
          const input = moved.get(root);
          return input === undefined ? undefined : inputs[input];
        });
      } catch (error) {
        for (const info of taken) if (info !== discarded) heap.release(info);
        throw error;
      } finally {
        if (discarded !== undefined) heap.release(discarded);
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
  options: ReplayOptions = {},
): { readonly program: Program; readonly replay: Replayer } {
  const passed = wasmPasses(options.fuse)(traced);
  const program = options.moving === undefined ? passed : moveEarly(passed, options.moving);
  const prepare = (body: Program): Replayer => {
    const constants = constantTensors(body);
    const steps = stepsOf(body, constants, options);
    if (steps !== undefined) return listed(body, steps, constants, options);
    for (const [value, { kind }] of body.constants) if (kind === "numbers") constants.get(value)!.dispose();
    return plainReplayer(body);
  };
  return { program, replay: replayer(program, prepare) };
}
