/**
 * Functions that read what was kept of their earlier calls and add to it: a text read token by token, its keys and values
 * kept. Parameters and what is kept stay with the engine, which adds to the latter in place.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { engineInUse } from "../engine/in_use.ts";
import { hasKernel } from "../engine/kernels.ts";
import { lacksPrecision } from "../engine/precision.ts";
import { collectGarbage } from "../garbage.ts";
import { mapTree, type Params, type Path } from "../tree.ts";
import { compile } from "./compile.ts";
import type { ValueType } from "./program.ts";
import type { Recurrent, RecurrentFunction, RecurrentOptions } from "./recurrence.ts";

/**
 * Makes a function ready to be called many times.
 *
 * @param f The function
 * @param parameters Its parameters; they stay the caller's and must outlive it
 * @param options See {@linkcode RecurrentOptions}
 * @throws OneloraError for a precision that the backend does not go on with
 *
 * @example
 * ```ts
 * import { useBackend } from "@onelora/onelora/dsl";
 * import { startRecurrent } from "./recurrent.ts";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 * await useBackend("cpu");
 * // Sums of everything so far.
 * const sums = startRecurrent((_, { seen }, { x }) => [{ sum: tf.add(tf.sum(seen), tf.sum(x)) }, { seen: x }], {});
 * sums.keep({ seen: tf.zeros([4, 1]) });
 * const call = (x: number, at: number) => sums.call({ x: tf.tensor2d([[x]]) }, at).sum.dataSync()[0];
 * assertEquals([call(5, 0), call(7, 1)], [5, 12]);
 * sums.dispose();
 * ```
 */
export function startRecurrent(f: RecurrentFunction, parameters: Params, options: RecurrentOptions = {}): Recurrent {
  const { precision = "float32" } = options;
  const engine = engineInUse();
  if (precision !== "float32" && (engine.recurrent === undefined || !engine.precisions.includes(precision))) {
    const isForSteps = engine.precisions.includes(precision);
    throw lacksPrecision(
      precision,
      `the ${engine.name} backend${isForSteps ? ", which has it for training alone" : ""}`,
    );
  }
  return engine.recurrent?.(f, parameters, options) ?? replayed(f, parameters, options);
}

/** The function replayed kernel by kernel. */
function replayed(f: RecurrentFunction, parameters: Params, { ownProducts = true }: RecurrentOptions): Recurrent {
  // What reading a model and its tokenizer left is not to stay beside what comes.
  collectGarbage();
  const compiled = compile(f, { ownProducts });
  let kept: Record<Path, tf.Tensor> = {};
  return {
    keep: (next) => {
      tf.dispose(kept);
      kept = mapped(next, (tensor) => tf.keep(tensor));
    },
    clear: (types) => {
      tf.dispose(kept);
      kept = mapTree(({ shape, dtype }: ValueType) => tf.keep(tf.fill([...shape], 0, dtype as "float32")))(types);
    },
    kept: () => mapped(kept, (tensor) => tf.keep(tf.clone(tensor))),
    call: (input, at) => {
      const [results, added] = tf.tidy(() =>
        compiled(parameters, kept, input) as unknown as tf.TensorContainer
      ) as unknown as [Params, Params];
      for (const [name, rows] of Object.entries(added)) kept[name] = writeRows(kept[name], rows, at);
      return results;
    },
    dispose: () => {
      compiled.dispose();
      tf.dispose(kept);
      kept = {};
    },
  };
}

function mapped(tree: Params, f: (tensor: tf.Tensor) => tf.Tensor): Record<Path, tf.Tensor> {
  return Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [name, f(tensor)]));
}

/** Rows [..., N, W] into a tensor [..., S, W], in place where the backend can; both are taken over. */
function writeRows(into: tf.Tensor, rows: tf.Tensor, at: number): tf.Tensor {
  try {
    if (hasKernel("WriteRows")) {
      tf.engine().runKernel("WriteRows", { into, rows }, { at });
      return into;
    }
    const axis = into.rank - 2;
    const part = (from: number, to: number) =>
      tf.slice(
        into,
        into.shape.map((_, i) => i === axis ? from : 0),
        into.shape.map((n, i) => i === axis ? to - from : n),
      );
    const end = at + rows.shape[axis];
    const written = tf.tidy(() => tf.keep(tf.concat([part(0, at), rows, part(end, into.shape[axis])], axis)));
    into.dispose();
    return written;
  } finally {
    rows.dispose();
  }
}
