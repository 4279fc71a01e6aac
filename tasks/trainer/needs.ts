/**
 * How much a model is given at a time, and what a use of it takes by plan.
 *
 * @module
 */
import type { Ran } from "../../dsl/compile/keeping.ts";
import type { BackendName } from "../../dsl/engine/interface.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
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
  /** What was run before in the same process, its state still there. */
  readonly after?: Ran;
}

/** Bytes that a process takes by plan, for a model's layer, adapted or not. */
export type Needs = (layer: Layer, kept: Kept) => number;

/**
 * What something takes in a command that reads data. Measured, as the engines' own memory: 16 to 138 MB over plans of evaluations
 * and runs on tensorflow, 10 to 65 on wasm.
 *
 * @param backend The engine
 * @param bytes What it takes by plan where all is there already
 */
export function whileReading(backend: BackendName, bytes: number): number {
  return bytes + engineKind(backend).overhead.reading;
}

/** Evaluations that a command makes. */
export interface Evaluations {
  /** Examples at a time. */
  readonly rows: number;
  /** What the command takes by plan, with so many at a time. */
  readonly needs: (rows: number) => Promise<Needs>;
}

/** Numbers of examples, each half of the one before, down to one. */
function halves(rows: number): readonly number[] {
  return rows <= 1 ? [] : [Math.floor(rows / 2), ...halves(Math.floor(rows / 2))];
}

/**
 * Evaluations of fewer examples at a time, the most first: the setting in words, and what they take.
 *
 * @param evaluations As they are asked for
 */
export function fewerAtATime({ rows, needs }: Evaluations): Promise<readonly (readonly [string, Needs])[]> {
  return Promise.all(halves(rows).map(async (each) => [`--eval-batch ${each}`, await needs(each)] as const));
}
