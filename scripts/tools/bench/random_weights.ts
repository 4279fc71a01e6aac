/**
 * Random weights of a model in the forms that training holds them in, tensor by tensor: a model of any size is made of as
 * much memory as it takes when it is read from a file.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { fold, init, key, type Layer, normal, type Params, sizeOf, specs, type Tensor } from "../../../dsl/mod.ts";
import { engineInUse } from "../../../dsl/engine/in_use.ts";
import { type Layout, layoutOf, type Quantisation } from "../../../dsl/quantise.ts";
import { toBfloat16 } from "../../../dsl/safetensors/dtype.ts";
import { formsOf, type Holding } from "../../../models/checkpoint/forms.ts";

/** Numbers that are drawn; what is larger repeats them. */
const DRAWN = 2 ** 16;

type Form = "bf16" | Quantisation;

/** The largest |w| of a block or row. */
const LARGEST = 0.05;

/** A quantised matrix of random codes whose blocks, or rows, all have the same maximum. */
function fillScales(form: Quantisation, { scales: [, count], maxima: [at, blocks] }: Layout, bytes: Uint8Array): void {
  const scales = new Float32Array(bytes.buffer, 0, count);
  scales.fill(form === "int8" ? LARGEST / 127 : 0);
  // Of nf4, the mean of the maxima.
  if (form === "nf4") scales[0] = LARGEST;
  bytes.fill(0, at, at + blocks);
}

/** What makes float32 tensors of numbers that repeat those drawn; all of one piece of memory where the engine copies it. */
function repeater(drawn: Float32Array): (shape: readonly number[]) => Tensor {
  const { settle, copies = settle !== undefined, device } = engineInUse();
  let scratch = new Float32Array(0);
  return (shape) => {
    const size = sizeOf(shape);
    if (scratch.length < size || !copies || device.kind === "gpu") {
      scratch = new Float32Array(size);
      for (let at = 0; at < size; at += DRAWN) scratch.set(drawn.subarray(0, size - at), at);
    }
    const made = tf.tensor(scratch.subarray(0, size), [...shape]);
    settle?.(made);
    return made;
  };
}

/** What makes stored tensors, all of them of one piece of memory here, which the engine copies. */
function maker(drawn: Float32Array): (form: Form, shape: readonly number[]) => Tensor {
  const halves = new Uint8Array(toBfloat16(drawn.map((value) => 0.02 * value)).buffer);
  const codes = Uint8Array.from(drawn, (value) => Math.abs(value) * 1e6);
  let scratch = new Uint8Array(0);
  return (form, shape) => {
    const layout = form === "bf16" ? undefined : layoutOf(form, shape);
    const length = layout?.bytes ?? 2 * sizeOf(shape);
    if (scratch.length < length) scratch = new Uint8Array(length);
    const bytes = scratch.subarray(0, length);
    const source = layout === undefined ? halves : codes;
    for (let at = 0; at < length; at += source.length) bytes.set(source.subarray(0, length - at), at);
    if (layout !== undefined) fillScales(form as Quantisation, layout, bytes);
    return engineInUse().hold!(bytes, form, shape)!;
  };
}

/**
 * Random parameters of a layer.
 *
 * @param layer The adapted layer
 * @param holding What frozen weights are kept as
 */
export function randomParams(layer: Layer, holding: Holding): Params {
  const { forms: known } = engineInUse();
  const forms = new Map([...formsOf(layer, holding)].filter(([, form]) => known?.has(form)));
  const drawn = normal(fold(key(0), "weights"), DRAWN);
  const make = maker(drawn);
  const repeat = repeater(drawn.map((value) => 0.02 * value));
  const given: Record<string, Tensor> = {};
  for (const [path, { shape, adapter }] of Object.entries(specs(layer))) {
    const form = forms.get(path);
    if (form !== undefined) given[path] = make(form, shape);
    else if (adapter === undefined && shape.length > 1) given[path] = repeat(shape);
  }
  return init(layer, key(0), given);
}
