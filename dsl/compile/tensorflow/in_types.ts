/**
 * Tensors in the types that the variables of a graph have.
 *
 * @module
 */
import type * as tf from "@tensorflow/tfjs-core";
import { ELEMENT } from "../../engine/tensorflow_graph/graph.ts";
import { castHandle, freeHandle, type Handle, handleOf } from "../../engine/tensorflow_graph/session.ts";
import { storedForm } from "../../engine/stored.ts";

/** Tensors in the types of variables; those that had to be converted are freed at the end of its block. */
export class InTypes implements Disposable {
  readonly #converted: Handle[] = [];

  /** @param types The variables' types */
  constructor(readonly types: readonly number[]) {}

  /**
   * A tensor for a variable.
   *
   * @param tensor The tensor
   * @param at The variable's place
   * @param whenCopied What is done once nothing reads the tensor any more, if it had to be converted
   */
  handleOf(tensor: tf.Tensor, at: number, whenCopied: (tensor: tf.Tensor) => void = () => {}): Handle {
    if (this.types[at] !== ELEMENT.bfloat16 || storedForm(tensor) !== undefined) return handleOf(tensor);
    const converted = castHandle(handleOf(tensor), ELEMENT.float32, ELEMENT.bfloat16);
    this.#converted.push(converted);
    whenCopied(tensor);
    return converted;
  }

  [Symbol.dispose](): void {
    this.#converted.forEach(freeHandle);
  }
}
