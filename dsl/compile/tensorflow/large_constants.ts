/**
 * Numbers of a program that are many: they are given to a graph as tensors instead of being written into it, since TensorFlow
 * copies what is written for each node that reads it while it optimises the graph.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { sizeOf } from "../../tree.ts";
import type { Constant, Program, ValueId } from "../program.ts";

/** Fewer numbers are written into the graph. */
export const GIVEN_FROM = 2 ** 16;

/** A program whose large constants are tensors, which are freed with it. */
export interface WithTensors extends Disposable {
  /** The program. */
  readonly program: Program;
}

/**
 * Makes tensors of a program's large constants. Whole numbers stay where they are: TensorFlow keeps those on the host.
 *
 * @param program The program
 */
export function withTensors(program: Program): WithTensors {
  const made: tf.Tensor[] = [];
  const constants = new Map([...program.constants].map(([value, constant]): [ValueId, Constant] => {
    const { shape, dtype } = program.types[value];
    if (constant.kind === "tensor" || dtype !== "float32" || sizeOf(shape) < GIVEN_FROM) return [value, constant];
    const tensor = tf.keep(tf.tensor(constant.values as tf.TypedArray, [...shape], dtype));
    made.push(tensor);
    return [value, { kind: "tensor", tensor }];
  }));
  return { program: made.length === 0 ? program : { ...program, constants }, [Symbol.dispose]: () => tf.dispose(made) };
}
