/**
 * Losses of many rows, some rows at a time, so that what is large about a row is never there for all of them.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { apart } from "../compile/trace.ts";
import { withGradient } from "./gradient.ts";

/** First row, and how many. */
export type Span = readonly [from: number, length: number];

/**
 * Rows in parts of equal size, but for the last.
 *
 * @param count How many rows
 * @param parts Most parts
 */
export function spansOf(count: number, parts: number): readonly Span[] {
  const length = Math.ceil(count / Math.min(parts, count));
  return Array.from(
    { length: Math.ceil(count / length) },
    (_, i): Span => [i * length, Math.min(length, count - i * length)],
  );
}

/** Some rows. */
function rowsAt(x: tf.Tensor2D, [from, length]: Span): tf.Tensor2D {
  return tf.slice2d(x, [from, 0], [length, x.shape[1]]);
}

/** What is made of each part; a part waits for those before it. */
function inTurn<Result>(spans: readonly Span[], each: (span: Span) => Result): readonly Result[] {
  return spans.map((span) => apart(() => each(span)));
}

/**
 * What a function makes of rows, some rows at a time; nothing of it gets a gradient.
 *
 * @param x [R, D]
 * @param spans The parts of R, one after the other
 * @param f [r, D] -> [r, ...] for some rows
 * @returns [R, ...]
 */
export function rowsInTurn(
  x: tf.Tensor2D,
  spans: readonly Span[],
  f: (rows: tf.Tensor2D, span: Span) => tf.Tensor,
): tf.Tensor {
  return tf.tidy(() => tf.concat([...inTurn(spans, (span) => tf.tidy(() => f(rowsAt(x, span), span)))], 0));
}

/** Whether what is computed now is to have a gradient. */
function hasGradient(): boolean {
  return tf.engine().state.gradientDepth > 0;
}

/** Takes a gradient within an operation's forward pass, on a tape of its own. */
function within<Result>(gradient: () => Result): Result {
  const { state } = tf.engine();
  const { activeTape, gradientDepth, kernelDepth } = state;
  Object.assign(state, { gradientDepth: 0, kernelDepth: 0 });
  try {
    return gradient();
  } finally {
    Object.assign(state, { activeTape, gradientDepth, kernelDepth });
  }
}

/**
 * sum over parts s of f(rows s of x, parameters, s). Each part's gradients are found right after its value, so that of
 * all that f makes only gradients of x and of the parameters are kept.
 *
 * @param x [R, D]
 * @param params Others that get gradients
 * @param spans The parts of R, one after the other
 * @param f A number for some rows
 */
export function sumOfParts(
  x: tf.Tensor2D,
  params: readonly tf.Tensor[],
  spans: readonly Span[],
  f: (rows: tf.Tensor2D, params: readonly tf.Tensor[], span: Span) => tf.Scalar,
): tf.Scalar {
  const total = (values: readonly tf.Tensor[]) => tf.sum(tf.stack([...values])) as tf.Scalar;
  if (!hasGradient()) {
    return tf.tidy(() => total(inTurn(spans, (span) => tf.tidy(() => f(rowsAt(x, span), params, span)))));
  }
  return withGradient([x, ...params], (save) => {
    let sums: readonly tf.Tensor[] = [];
    const found = inTurn(spans, (span) => {
      const before = sums;
      const [value, gradient, ...others] = tf.tidy(() => {
        const sources = [rowsAt(x, span), ...params];
        const { value, grads } = within(() =>
          tf.engine().gradients(() => f(sources[0] as tf.Tensor2D, sources.slice(1), span), sources, undefined, true)
        );
        const all = sources.map((source, i) => grads[i] as tf.Tensor | null ?? tf.zerosLike(source));
        return [value, ...all.map((each, i) => i === 0 || before.length === 0 ? each : tf.add(before[i - 1], each))];
      });
      tf.dispose([...before]);
      sums = others;
      return [value, gradient] as const;
    });
    save(tf.concat2d(found.map(([, gradient]) => gradient as tf.Tensor2D), 0), ...sums);
    return total(found.map(([value]) => value));
  }, (dy, gradients) => gradients.map((gradient) => tf.mul(gradient, dy))) as tf.Scalar;
}
