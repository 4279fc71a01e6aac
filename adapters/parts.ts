/**
 * Parts of the model itself as methods: norms, head, label table, everything.
 *
 * @module
 */
import { type AnyLayer, unfreeze } from "../dsl/layer.ts";
import { type Method, method } from "./method.ts";

const isNorm = (layer: AnyLayer): boolean => layer.kind === "norm";
const isHead = (layer: AnyLayer): boolean => layer.role === "head";
const isLabels = (layer: AnyLayer): boolean => layer.role === "labels";

/**
 * Trains the scale and shift of every normalisation layer.
 *
 * @param model The model
 */
export function norms<Model extends AnyLayer>(model: Model): Model {
  return unfreeze(isNorm)(model);
}

/**
 * Trains the task head (`role: "head"`).
 *
 * @param model The model
 */
export function head<Model extends AnyLayer>(model: Model): Model {
  return unfreeze(isHead)(model);
}

/**
 * Trains the class-label table of a conditional generator (`role: "labels"`), as DiffFit does.
 *
 * @param model The model
 */
export function labels<Model extends AnyLayer>(model: Model): Model {
  return unfreeze(isLabels)(model);
}

/**
 * Full fine-tuning: trains everything except the head, which is a task's own choice.
 *
 * @param model The model
 */
export function all<Model extends AnyLayer>(model: Model): Model {
  return unfreeze((layer) => !isHead(layer))(model);
}

/** The norms, described. */
export const normsMethod: Method = method({
  name: "norms",
  summary: "scale and shift of every norm",
  settings: {},
  build: () => norms,
  savedWhole: isNorm,
});

/** The head, described. */
export const headMethod: Method = method({
  name: "head",
  summary: "the task's head",
  settings: {},
  build: () => head,
  savedWhole: isHead,
});

/** The label table, described. */
export const labelsMethod: Method = method({
  name: "labels",
  summary: "the label table of a conditional generator",
  settings: {},
  build: () => labels,
  savedWhole: isLabels,
});

/** Everything, described. */
export const allMethod: Method = method({
  name: "all",
  summary: "every weight but the head's",
  aliases: { full: {} },
  settings: {},
  build: () => all,
});
