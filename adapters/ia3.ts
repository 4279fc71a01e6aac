/**
 * (IA)^3: learned factors of activations (Liu et al. 2022).
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import { pipe } from "fp-ts/function";
import { OneloraError } from "../dsl/error.ts";
import { ones } from "../dsl/initialise.ts";
import { type AnyLayer, walk } from "../dsl/layer.ts";
import { isLinear } from "../dsl/linear.ts";
import { scaleInput, scaleOutput } from "../dsl/linear_change.ts";
import { type Adapter, at, everyLinear, type Placement, placement, stage, trainable } from "./adapter.ts";
import { type Method, method, type ModelChange, pattern } from "./method.ts";

/** Options of {@linkcode ia3}. */
export interface Ia3Options {
  /** What is scaled: a layer's outputs (keys, values), or its inputs (the last layer of a feed-forward network). */
  readonly scales?: "outputs" | "inputs";
}

/**
 * y = l * (W0 x + b0), `l_out` [d] trained from one; or y = W0 (l * x) + b0, `l_in` [k]. d or k parameters per layer.
 *
 * @param options See {@linkcode Ia3Options}
 */
export function ia3({ scales = "outputs" }: Ia3Options = {}): Adapter {
  const isInput = scales === "inputs";
  const [name, reform] = isInput ? ["l_in", scaleInput] as const : ["l_out", scaleOutput] as const;
  return {
    name: "ia3",
    fit: ({ inFeatures, outFeatures }) => ({
      name: "ia3",
      stage: isInput ? stage.update : stage.output,
      params: { [name]: trainable([isInput ? inFeatures : outFeatures], ones) },
      reform: (param) => reform(param(name) as Tensor1D),
    }),
  };
}

/**
 * (IA)^3 as a change of the whole model.
 *
 * @param where Which linear layers
 * @param feedforward Which of them have their inputs scaled instead of their outputs (default none)
 * @throws OneloraError (exit code 2) if one of the two is no layer's
 */
export function ia3Model(where: Placement | string = everyLinear, feedforward?: Placement | string): ModelChange {
  const chosen = (target: Placement | string) => typeof target === "string" ? placement(target) : target;
  if (feedforward === undefined) return at(where, ia3());
  const isOurs = chosen(where);
  const isInput: Placement = (layer, path) => isOurs(layer, path) && chosen(feedforward)(layer, path);
  const isOutput: Placement = (layer, path) => isOurs(layer, path) && !chosen(feedforward)(layer, path);
  const has = (model: AnyLayer, which: Placement) =>
    [...walk(model)].some(([path, layer]) => isLinear(layer) && which(layer, path));
  return (model) => {
    if (has(model, isOurs) && !has(model, isInput)) {
      const found = `no layer of its target for feedforward "${feedforward}"`;
      throw new OneloraError({ attempted: `placing adapter "ia3"`, found, allowed: "a pattern within the target" }, {
        exitCode: 2,
      });
    }
    const inputs = at(has(model, isInput) ? isInput : where, ia3({ scales: "inputs" }));
    return has(model, isOutput) ? pipe(model, inputs, at(isOutput, ia3())) : inputs(model);
  };
}

/** (IA)^3, described. */
export const ia3Method: Method = method({
  name: "ia3",
  summary: "y = l * (W0 x + b0), or y = W0 (l * x) + b0 in feed-forward layers",
  settings: { feedforward: pattern("the layers whose inputs are scaled instead of their outputs") },
  build: ({ feedforward }, target) => ia3Model(target, feedforward),
  peft: {
    type: "IA3",
    tensors: {
      l_in: { key: "ia3_l", shape: (shape) => [1, ...shape] },
      l_out: { key: "ia3_l", shape: (shape) => [...shape, 1] },
    },
    fields(_, modules) {
      const inputs = modules(({ params }) => params["ia3.l_in"] !== undefined);
      const outputs = modules(({ params }) => params["ia3.l_out"] !== undefined);
      return {
        fan_in_fan_out: false,
        feedforward_modules: inputs,
        init_ia3_weights: true,
        // PEFT wants every name of the one list in the other.
        target_modules: [...inputs, ...outputs].sort(),
      };
    },
    values({ json }, target) {
      const { feedforward_modules: listed } = json;
      if (listed === undefined || listed === null || (Array.isArray(listed) && listed.length === 0)) return {};
      const paths = target("feedforward_modules");
      return { feedforward: paths.includes(",") ? `{${paths}}` : paths };
    },
  },
});
