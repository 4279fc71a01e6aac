/**
 * What functions are that read what was kept of their earlier calls and add to it: a text read token by token, its keys
 * and values kept. Parameters and what is kept stay with the engine, which adds to the latter in place.
 * @module
 */
import type { Precision } from "../engine/precision.ts";
import type { Params, Tree } from "../tree.ts";
import type { ValueType } from "./program.ts";

/**
 * A pure function of parameters, of what is kept, [..., S, W] each, and of an input: results, and what is to be added to
 * what is kept, [..., N, W] under the same names.
 */
export type RecurrentFunction = (
  parameters: Params,
  kept: Params,
  input: Params,
) => readonly [results: Params, added: Params];

/** A function at work, and what it keeps. */
export interface Recurrent {
  /** Replaces what is kept, whose tensors are no longer the caller's. */
  readonly keep: (kept: Params) => void;
  /** Replaces what is kept by zeros of these types, made where they stay. */
  readonly clear: (types: Tree<ValueType>) => void;
  /** What is kept, as tensors of the caller's. */
  readonly kept: () => Params;
  /**
   * Calls it and adds rows `at`, `at + 1`, ... to what is kept. The results are the caller's.
   *
   * @param input The input; its tensors stay the caller's
   * @param at Where the first added row goes, 0 to S - N
   */
  readonly call: (input: Params, at: number) => Params;
  /** Frees what is kept; the parameters stay the caller's. */
  readonly dispose: () => void;
}

/** Settings of {@linkcode startRecurrent}. */
export interface RecurrentOptions {
  /** Precision of parameters and matrix products (default float32). */
  readonly precision?: Precision;
  /** In a graph: calls made so often that repeated blocks are compiled as one function where that is faster (default none). */
  readonly blocks?: (input: Params) => boolean;
  /** Whether products of a few rows are left to a kernel of our own where the engine has it (default yes). */
  readonly ownProducts?: boolean;
}
