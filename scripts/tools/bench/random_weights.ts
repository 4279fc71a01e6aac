/**
 * Random weights of a model in the forms that training holds them in, tensor by tensor: a model of any size is made of as
 * much memory as it takes when it is read from a file.
 *
 * @module
 */
import { fold, init, key, type Layer, normal, type Params, sizeOf, specs, type Tensor } from "../../../dsl/mod.ts";
import { engineInUse } from "../../../dsl/engine/in_use.ts";
import { held, heldQuantised } from "../../../dsl/hold.ts";
import { type Quantisation, quantise } from "../../../dsl/quantise.ts";
import { toBfloat16 } from "../../../dsl/safetensors/dtype.ts";
import { formsOf, type Holding } from "../../../models/checkpoint/load.ts";

/** What makes a tensor of a shape in a form; equal ones are of the same numbers, which take long to draw. */
function maker(): (form: "bf16" | Quantisation, shape: readonly number[]) => Tensor {
  const made = new Map<string, () => Tensor>();
  return (form, shape) => {
    const name = `${form} ${shape}`;
    const known = made.get(name);
    if (known !== undefined) return known();
    const values = normal(fold(key(0), name), sizeOf(shape)).map((value) => 0.02 * value);
    const quantised = form === "bf16" ? undefined : quantise(form, shape, values);
    const bits = quantised === undefined ? toBfloat16(values) : undefined;
    const make = () =>
      quantised === undefined ? held({ dtype: "BF16", shape, data: bits! }, "bf16") : heldQuantised(quantised);
    made.set(name, make);
    return make();
  };
}

/**
 * Random parameters of a layer.
 *
 * @param layer The adapted layer
 * @param holding What frozen weights are kept as
 */
export function randomParams(layer: Layer, holding: Holding): Params {
  const forms = engineInUse().hold === undefined ? new Map<string, "bf16" | Quantisation>() : formsOf(layer, holding);
  const make = maker();
  const given: Record<string, Tensor> = {};
  for (const [path, { shape }] of Object.entries(specs(layer))) {
    const form = forms.get(path);
    if (form !== undefined) given[path] = make(form, shape);
  }
  return init(layer, key(0), given);
}
