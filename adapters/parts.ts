/**
 * Parts of the model itself as methods: norms, head, label table, everything.
 *
 * @module
 */
import { type AnyLayer, unfreeze } from "../dsl/layer.ts";

/** Methods that train the layers of the same role whole, as PEFT's `modules_to_save` do. */
export const wholeMethods = ["head", "labels"] as const;

/** A change of a model, data-last for `pipe`. */
export type ModelChange = <Model extends AnyLayer>(model: Model) => Model;

/**
 * Trains the scale and shift of every normalisation layer.
 *
 * @param model The model
 */
export function norms<Model extends AnyLayer>(model: Model): Model {
  return unfreeze((layer) => layer.kind === "norm")(model);
}

/**
 * Trains the task head (`role: "head"`).
 *
 * @param model The model
 */
export function head<Model extends AnyLayer>(model: Model): Model {
  return unfreeze((layer) => layer.role === "head")(model);
}

/**
 * Trains the class-label table of a conditional generator (`role: "labels"`), as DiffFit does.
 *
 * @param model The model
 */
export function labels<Model extends AnyLayer>(model: Model): Model {
  return unfreeze((layer) => layer.role === "labels")(model);
}

/**
 * Full fine-tuning: trains everything except the head, which is a task's own choice.
 *
 * @param model The model
 */
export function all<Model extends AnyLayer>(model: Model): Model {
  return unfreeze((layer) => layer.role !== "head")(model);
}
