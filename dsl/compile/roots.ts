/**
 * The memory that a program's values lie in, where an engine plans it by itself.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { isAlias, type Program, type ValueId, type ValueType } from "./program.ts";

/** Memory that a program reads and writes. */
export interface Root {
  /** What lies there. */
  readonly type: ValueType;
  /**
   * Where: with a tensor that the program is given, by its place; with one that it makes for its caller; with a constant; or in
   * the arena, for values that live within a run.
   */
  readonly place: { readonly input: number } | { readonly constant: ValueId } | "result" | "arena";
}

/** All memory of a program. */
export interface Roots {
  /** All of it. */
  readonly roots: readonly Root[];
  /** The root whose memory a value shares. */
  readonly rootOf: (value: ValueId) => number;
}

/**
 * The roots of a program's values, and which value has which.
 *
 * @param program The program
 */
export function rootsOf(program: Program): { readonly roots: Root[]; readonly rootOf: Map<ValueId, number> } {
  const { types } = program;
  const roots: Root[] = [];
  const rootOf = new Map<ValueId, number>();
  const add = (value: ValueId, place: Root["place"]) => {
    if (!rootOf.has(value)) rootOf.set(value, roots.push({ type: types[value], place }) - 1);
  };
  for (const value of program.constants.keys()) add(value, { constant: value });
  program.inputs.forEach((value, input) => add(value, { input }));
  for (const call of program.calls) {
    if (isAlias(call)) rootOf.set(call.outputs[0], rootOf.get(call.inputs[0])!);
    else for (const value of call.outputs) add(value, "arena");
  }
  for (const value of program.outputs) {
    const root = rootOf.get(value)!;
    if (roots[root].place === "arena") roots[root] = { ...roots[root], place: "result" };
  }
  return { roots, rootOf };
}

/**
 * Tensors that a program returns, of the memory that its values lie in.
 *
 * @param program The program
 * @param memory Its roots
 * @param inputs Its inputs
 * @param constants The tensors of its constants
 * @param dataOf The data of a root that is there for the caller: an input's, a constant's or a result's
 * @param movedOver The input that a root was written over, if it was: the result is that input
 */
export function resultsOf(
  { inputs: ids, outputs, types }: Program,
  { roots, rootOf }: Roots,
  inputs: readonly tf.Tensor[],
  constants: ReadonlyMap<ValueId, tf.Tensor>,
  dataOf: (root: number) => tf.DataId,
  movedOver: (root: number) => tf.Tensor | undefined = () => undefined,
): tf.Tensor[] {
  const before = new Map<ValueId, tf.Tensor>(constants);
  const started = new Set<number>();
  return outputs.map((value) => {
    const input = ids.indexOf(value);
    if (input >= 0) return inputs[input];
    const first = before.get(value);
    if (first !== undefined) return tf.clone(first);
    const root = rootOf(value);
    const moved = movedOver(root);
    if (moved !== undefined) return moved;
    const dataId = dataOf(root);
    // The first tensor takes over memory that is made for the caller, all others share it.
    if (roots[root].place !== "result" || started.has(root)) tf.backend().incRef(dataId);
    started.add(root);
    const { shape, dtype } = types[value];
    const tensor = tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype });
    before.set(value, tensor);
    return tensor;
  });
}
