/**
 * A run's method on its model.
 *
 * @module
 */
import { adapt } from "../../adapters/mod.ts";
import { joinMethods } from "../../adapters/spec.ts";
import type { Layer } from "../../dsl/layer.ts";
import { rematerialiseBlocks } from "../../dsl/rematerialise.ts";
import type { Model } from "../../models/mod.ts";
import type { MethodSettings, RunSettings } from "./run_settings.ts";

/** The method that changes nothing: its runs only evaluate. */
export const NO_METHOD = "none";

/**
 * A model's layer with a run's method on it, and those that go with it.
 *
 * @param model The model
 * @param run The method, `none` for the layer as it is
 * @param besides Methods that the task trains with every other
 * @throws OneloraError (exit code 2) for a method that there is not
 */
export function methodOn(
  model: Pick<Model, "layer">,
  { adapter, rank, alpha, dropout, target }: MethodSettings,
  besides: readonly string[] = [],
): Layer {
  if (adapter === NO_METHOD) return model.layer;
  return adapt(joinMethods(adapter, besides), { rank, alpha, dropout, target })(model.layer);
}

/**
 * The layer that gradients are taken of: with blocks computed again, where the run asks for it.
 *
 * @param layer The adapted layer
 * @param run The run
 */
export function underRun<Adapted extends Layer>(
  layer: Adapted,
  run: Pick<RunSettings, "gradientCheckpointing">,
): Adapted {
  return run.gradientCheckpointing ? rematerialiseBlocks(layer) : layer;
}
