/**
 * What the lowering of a call is told.
 *
 * @module
 */
import type { Call, ValueId, ValueType } from "../program.ts";
import type { GpuKernel, Target } from "./kernel.ts";

/** The program that a call is part of. */
export interface Lowering {
  /** Types of its values; those that kernels make for each other are added to them. */
  readonly types: readonly ValueType[];
  /** The value whose memory a value shares. */
  readonly rootOf: (value: ValueId) => ValueId;
  /** Whether a value is kept in float16. */
  readonly isHalf: (value: ValueId) => boolean;
  /** What it is lowered for. */
  readonly target: Target;
  /** A new value for numbers between two kernels. */
  readonly between: (type: ValueType) => ValueId;
}

/** The kernels of a call; nothing where there are none for it. */
export type Lower = (call: Call, lowering: Lowering) => readonly GpuKernel[] | undefined;
