/**
 * Trainable-parameter counts, as the paper's tables state them.
 *
 * @module
 */
import { type AnyLayer, type ParamSpec, specs } from "../dsl/layer.ts";
import { count, glob, partition, type Path } from "../dsl/tree.ts";

/** Numbers of parameters. */
export interface ParameterCounts {
  /** Trained by the method, the task head left out. */
  readonly adapter: number;
  /** Trained in the task head: all or none of it. */
  readonly head: number;
  /** In the base model, head included, plus what the method adds for training. */
  readonly total: number;
}

/**
 * Counts from declarations alone: no weights are allocated.
 *
 * @param model The adapted model
 * @param headPath Where its head lives, if it has one
 *
 * @example
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import { adapt, parameterCounts } from "@onelora/onelora/adapters";
 * import { linear, serial } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const model = serial({ body: linear(4, 8), classifier: linear(8, 2, { role: "head" }) });
 * const { adapter, head } = parameterCounts(pipe(model, adapt("1lora+head")), "classifier");
 * assertEquals([adapter, head], [8, 18]);
 * assertEquals(parameterCounts(pipe(model, adapt("1lora")), "classifier").head, 0);
 * ```
 */
export function parameterCounts(model: AnyLayer, headPath?: Path): ParameterCounts {
  const isHead = headPath === undefined ? () => false : glob(`${headPath}.**`);
  const { kept: head, rest } = partition<ParamSpec>(isHead)(specs(model));
  const isTrained = (_: Path, spec: ParamSpec) => spec.trainable;
  const { kept: trained } = partition<ParamSpec>(isTrained)(rest);
  const { kept: base } = partition<ParamSpec>((_, spec) => spec.adapter === undefined || spec.trainable)(rest);
  return {
    adapter: count(trained),
    head: count(partition<ParamSpec>(isTrained)(head).kept),
    total: count(base) + count(head),
  };
}
