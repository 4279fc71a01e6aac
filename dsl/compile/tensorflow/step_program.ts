/**
 * A step as a program: which of its values are state.
 *
 * @module
 */
import type { StoredForm } from "../../engine/stored.ts";
import type { Program } from "../program.ts";

/** A step's program and what its values are. */
export interface StepProgram {
  /** Inputs: fixed state, moving state, batch. Outputs: moving state, metrics. */
  readonly program: Program;
  /** How many inputs are fixed. */
  readonly fixed: number;
  /** How many inputs, and outputs, are moving. */
  readonly moving: number;
  /** What fixed inputs are stored as, those that are. */
  readonly forms?: readonly (StoredForm | undefined)[];
  /** Number of the output that decides whether the state moves on: only if it is finite. */
  readonly loss: number;
}
