/**
 * DiffFit (Xie et al. 2023): y = gamma * (W0 x + b0 + beta) on every linear layer, norms and label table trained.
 *
 * @module
 */
import { flow } from "fp-ts/function";
import { at, everyLinear, type Placement } from "./adapter.ts";
import { bitfit } from "./bitfit.ts";
import { type Method, method, type ModelChange } from "./method.ts";
import { labels, norms } from "./parts.ts";
import { scale } from "./scale.ts";

/**
 * DiffFit as a change of the whole model. 2d parameters per layer, plus norms and label table.
 *
 * @param where Which linear layers
 */
export function difffit(where: Placement | string = everyLinear): ModelChange {
  return (model) => flow(at(where, bitfit()), at(where, scale()), norms, labels)(model) as typeof model;
}

/** DiffFit, described. */
export const difffitMethod: Method = method({
  name: "difffit",
  summary: "y = gamma * (W0 x + b0 + beta), norms and label table trained",
  aliases: { diffit: {} },
  settings: {},
  build: (_, target) => difffit(target),
});
