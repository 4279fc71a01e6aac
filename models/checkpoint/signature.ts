/**
 * What a model reads and writes by name, as data: enough to run it on the tensors of a file and to say what is wrong with
 * them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { nearest, OneloraError } from "../../dsl/error.ts";
import type { AnyLayer, Layer } from "../../dsl/layer.ts";
import { apply } from "../../dsl/apply.ts";
import type { DType, TensorInfo } from "../../dsl/safetensors/mod.ts";
import type { Params, Tree } from "../../dsl/tree.ts";

/** One named tensor that a model reads. */
export interface Port {
  /** What transformers calls it, e.g. `pixel_values`. */
  readonly name: string;
  /** What its elements are. */
  readonly kind: "float" | "integer" | "number";
  /** Length of each axis; a word is any length, the same wherever it occurs: `["batch", 3, 224, 224]`. */
  readonly shape: readonly (number | string)[];
  /** Whether the model does without it. */
  readonly optional?: boolean;
  /** What its integers, from 0 on, stay below: the rows of a table that they choose from. */
  readonly below?: number;
}

/** The inputs and outputs of a model. */
export interface Signature {
  /** In the order in which its layer takes them. */
  readonly inputs: readonly Port[];
  /** Names of what its layer returns: a tensor, or an array of as many as there are names. */
  readonly outputs: readonly string[];
  /** The model's layer, adapted or not, as this function, where that is not its own. */
  readonly view?: (layer: AnyLayer) => AnyLayer;
}

const FLOATS: readonly DType[] = ["F32", "F16", "BF16", "F64"];
const INTEGERS: readonly DType[] = ["I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"];

/** Element types in a file that can be read as a kind. */
const DTYPES: Readonly<Record<Port["kind"], readonly DType[]>> = {
  float: FLOATS,
  integer: INTEGERS,
  number: [...INTEGERS, ...FLOATS],
};

/**
 * Which way a model with an inverse is meant to run: the one that reads what is there.
 *
 * @param model What it reads and writes
 * @param names Names of the tensors that are there
 */
export function signatureFor(
  { signature, inverse }: { readonly signature: Signature; readonly inverse?: Signature },
  names: readonly string[],
): Signature {
  const reads = (each: Signature) => each.inputs.some(({ name }) => names.includes(name));
  return inverse !== undefined && reads(inverse) && !reads(signature) ? inverse : signature;
}

/**
 * Checks that the tensors of a file are what a model reads.
 *
 * @param signature The model's
 * @param found Type and shape of each tensor by name
 * @param attempted What this is for, e.g. `reading in.safetensors`
 * @throws OneloraError naming the first tensor that is missing, unexpected, or of another type or shape
 *
 * @example
 * ```ts
 * import { openModel } from "@onelora/onelora/models";
 * import { checkInputs } from "./signature.ts";
 * import { assertThrows } from "@std/assert";
 * const { signature } = await openModel("vit-base");
 * checkInputs(signature, { pixel_values: { dtype: "F32", shape: [2, 3, 224, 224] } }, "reading in.safetensors");
 * assertThrows(() => checkInputs(signature, {}, "reading in.safetensors"), Error, 'no tensor "pixel_values"');
 * ```
 */
export function checkInputs(
  signature: Signature,
  found: Tree<Pick<TensorInfo, "dtype" | "shape">>,
  attempted: string,
): void {
  const { inputs } = signature;
  const names = inputs.map(({ name }) => name);
  const unexpected = Object.keys(found).find((name) => !names.includes(name));
  if (unexpected !== undefined) {
    const near = nearest(unexpected, names);
    const hint = near === undefined ? "" : ` (did you mean "${near}"?)`;
    throw new OneloraError({ attempted, found: `tensor "${unexpected}"${hint}`, allowed: names.join(", ") });
  }
  const lengths = new Map<string, number>();
  for (const { name, kind, shape, optional } of inputs) {
    const given = found[name];
    const allowed = `"${name}" of ${DTYPES[kind].join(", ")} and shape [${shape.join(", ")}]`;
    if (given === undefined) {
      if (optional) continue;
      throw new OneloraError({ attempted, found: `no tensor "${name}"`, allowed });
    }
    const fits = given.shape.length === shape.length && given.shape.every((length, axis) => {
      const wanted = shape[axis];
      if (typeof wanted === "number") return length === wanted;
      if (!lengths.has(wanted)) lengths.set(wanted, length);
      return length > 0 && length === lengths.get(wanted);
    });
    if (fits && DTYPES[kind].includes(given.dtype)) continue;
    const known = [...lengths].filter(([word]) => shape.includes(word)).map(([word, length]) => `${word} ${length}`);
    throw new OneloraError({
      attempted,
      found: `"${name}" of ${given.dtype} and shape [${given.shape.join(", ")}]`,
      allowed: known.length === 0 || given.shape.length !== shape.length ? allowed : `${allowed}, ${known.join(", ")}`,
    });
  }
}

/**
 * Checks that integers which choose from a table do.
 *
 * @param signature The model's
 * @param inputs Its inputs by name
 * @param attempted What this is for, e.g. `reading in.safetensors`
 * @throws OneloraError naming the first value that is out of range
 */
export async function checkValues(signature: Signature, inputs: Params, attempted: string): Promise<void> {
  for (const { name, below } of signature.inputs) {
    if (below === undefined || inputs[name] === undefined) continue;
    const strange = (await inputs[name].data<"int32">()).find((value) => value < 0 || value >= below);
    if (strange === undefined) continue;
    throw new OneloraError({ attempted, found: `${strange} in "${name}"`, allowed: `0 to ${below - 1}` });
  }
}

/**
 * A model as a function of its inputs by name, giving its outputs by name; the caller disposes both.
 *
 * @param signature The model's
 * @param layer The model, adapted or not
 * @param params Its parameters
 */
export function namedForward(signature: Signature, layer: AnyLayer, params: Params): (inputs: Params) => Params {
  const seen = signature.view?.(layer) ?? layer;
  const run = apply(seen as Layer<readonly unknown[], tf.Tensor | readonly tf.Tensor[]>, params);
  return (inputs) =>
    tf.tidy(() => {
      const result = run(...signature.inputs.map(({ name }) => inputs[name]));
      const tensors = result instanceof tf.Tensor ? [result] : result;
      return Object.fromEntries(signature.outputs.map((name, i) => [name, tensors[i]]));
    });
}
