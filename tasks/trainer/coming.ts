/**
 * Tensors of the parts of batches, those of the part that comes next made while the one before is computed with.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Tree } from "../../dsl/tree.ts";
import type { BatchPart } from "./parts.ts";
import { type BatchTensors, free } from "./step.ts";

/** A part, and the numbers that a step is given besides its tensors. */
export interface GivenPart {
  /** The part. */
  readonly part: BatchPart;
  /** The numbers, by name. */
  readonly scalars: Tree<number>;
}

/** Makes the tensors of parts. */
export interface PartTensors extends Disposable {
  /** The tensors of a part, to be disposed by the caller: those that were made ahead, if they are of this one. */
  readonly take: (given: GivenPart) => BatchTensors;
  /** Makes those of the part that will be taken next; they are kept until then. */
  readonly ahead: (given: GivenPart) => BatchTensors;
}

function made({ part, scalars }: GivenPart): BatchTensors {
  const given = Object.entries(scalars).map(([name, value]) => [name, tf.scalar(value)]);
  return { ...part.tensors(), ...Object.fromEntries(given) };
}

function isSame(a: GivenPart, b: GivenPart): boolean {
  return a.part === b.part && JSON.stringify(a.scalars) === JSON.stringify(b.scalars);
}

/** A place for the tensors of one part to come. */
export function partTensors(): PartTensors {
  let kept: GivenPart & { readonly tensors: BatchTensors } | undefined;
  const drop = () => {
    if (kept !== undefined) free(kept.tensors);
    kept = undefined;
  };
  return {
    take: (given) => {
      if (kept === undefined || !isSame(kept, given)) {
        drop();
        return made(given);
      }
      const { tensors } = kept;
      kept = undefined;
      return tensors;
    },
    ahead: (given) => {
      drop();
      kept = { ...given, tensors: made(given) };
      return kept.tensors;
    },
    [Symbol.dispose]: drop,
  };
}
