/**
 * How much a model is given at a time, and what a use of it takes by plan.
 *
 * @module
 */
import type { BackendName } from "../../dsl/engine/interface.ts";
import type { Precision } from "../../dsl/engine/mod.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import type { Layer } from "../../dsl/layer.ts";
import type { Path } from "../../dsl/tree.ts";

/** How much a step, or a forward pass, is given. */
export interface BatchSize {
  /** Examples. */
  readonly batch: number;
  /** Tokens of each, where examples are text. */
  readonly length: number;
  /** Size of each, where examples are pictures of another size than the model's own. */
  readonly picture?: { readonly height: number; readonly width: number };
}

/** The engine, and what it keeps a model's parameters as. */
export interface Kept {
  /** The engine. */
  readonly backend: BackendName;
  /** Precision of matrix products, where what is done with the model has one. */
  readonly precision?: Precision;
  /** What parameters are kept as, those that are; undefined where the engine has float32 alone. */
  readonly forms?: ReadonlyMap<Path, StoredForm>;
}

/** Bytes that a process takes by plan, for a model's layer, adapted or not. */
export type Needs = (layer: Layer, kept: Kept) => number;
