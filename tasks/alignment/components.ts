/**
 * Principal components of a weight update: its right singular vectors, sorted by singular value (paper, section 5.2 and
 * Figure 9), in double precision.
 *
 * @module
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { OneloraError } from "../../dsl/error.ts";

/** A matrix [rows, columns], row-major. */
export interface WeightUpdate {
  /** d, the layer's outputs. */
  readonly rows: number;
  /** k, the layer's inputs. */
  readonly columns: number;
  /** Its values. */
  readonly values: Float64Array;
}

/** Right singular vectors of an update. */
export interface Components {
  /** Singular values, largest first; those below 1e-5 of the largest are left out, where rounding decides the vectors. */
  readonly singular: Float64Array;
  /** |cos(v_i, x)| for every right singular vector v_i, of a vector x of k numbers. */
  readonly cosines: (x: ArrayLike<number>) => Float64Array;
}

/** Singular values below this share of the largest are rounding: they come from the square of the matrix. */
const LEAST = 1e-5;

/** The smaller of D D^T and D^T D, in double precision. */
function gram({ rows, columns, values }: WeightUpdate): Matrix {
  const size = Math.min(rows, columns);
  const product = new Float64Array(size * size);
  if (rows <= columns) {
    for (let i = 0; i < rows; i++) {
      for (let j = i; j < rows; j++) {
        let sum = 0;
        for (let c = 0, a = i * columns, b = j * columns; c < columns; c++) sum += values[a + c] * values[b + c];
        product[i * size + j] = product[j * size + i] = sum;
      }
    }
  } else {
    // Row by row, so that memory is read in order.
    for (let r = 0; r < rows; r++) {
      for (let i = 0, at = r * columns; i < columns; i++) {
        const factor = values[at + i];
        if (factor === 0) continue;
        for (let j = i, to = i * size; j < columns; j++) product[to + j] += factor * values[at + j];
      }
    }
    for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) product[i * size + j] = product[j * size + i];
  }
  return Matrix.from1DArray(size, size, product);
}

/** D x, [rows]. */
function times({ rows, columns, values }: WeightUpdate, x: ArrayLike<number>): Float64Array {
  const out = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0, at = r * columns; c < columns; c++) sum += values[at + c] * x[c];
    out[r] = sum;
  }
  return out;
}

function norm(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/**
 * The principal components of an update D = W_ft - W_0, [d, k]: D = U S V^T. The smaller of D D^T and D^T D is decomposed;
 * where U comes out of that, v_i = D^T u_i / s_i.
 *
 * @param update D; not all zeros
 * @throws OneloraError for an update that is zero or not finite
 *
 * @example
 * ```ts
 * import { principalComponents } from "@onelora/onelora/tasks";
 * import { assertAlmostEquals, assertEquals } from "@std/assert";
 * const { singular, cosines } = principalComponents({ rows: 2, columns: 3, values: Float64Array.of(1, 1, 1, 0, 0, 0) });
 * assertEquals(singular.length, 1);
 * assertAlmostEquals(cosines([1, 1, 1])[0], 1);
 * ```
 */
export function principalComponents(update: WeightUpdate): Components {
  const { rows, columns, values } = update;
  if (values.length !== rows * columns || !values.every(Number.isFinite) || values.every((value) => value === 0)) {
    const found = values.length !== rows * columns
      ? `${values.length} values for [${rows}, ${columns}]`
      : values.every(Number.isFinite)
      ? "a weight that was not changed"
      : "values that are not finite";
    throw new OneloraError({ attempted: "decomposing a weight update", found, allowed: "a finite update, not zero" });
  }
  // A scale keeps squares of small updates away from the least doubles.
  const scale = 1 / values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scaled = { rows, columns, values: Float64Array.from(values, (value) => value * scale) };
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(gram(scaled), { assumeSymmetric: true });
  const order = realEigenvalues.map((value, index) => ({ value: Math.sqrt(Math.max(0, value)), index }))
    .sort((a, b) => b.value - a.value);
  const kept = order.filter(({ value }) => value > LEAST * order[0].value);
  const isLeft = rows <= columns;
  return {
    singular: Float64Array.from(kept, ({ value }) => value / scale),
    cosines(x) {
      const [projected, length] = [isLeft ? times(scaled, x) : Float64Array.from(x), norm(x)];
      return Float64Array.from(kept, ({ value, index }) => {
        let sum = 0;
        for (let i = 0; i < projected.length; i++) sum += eigenvectorMatrix.get(i, index) * projected[i];
        return Math.abs(sum) / (length * (isLeft ? value : 1));
      });
    },
  };
}

/**
 * The leading right singular vector of an update, by power iteration: for LoRA with r = 1 the direction of A, for 1LoRA that
 * of the ones.
 *
 * @param update D
 */
export function leadingDirection(update: WeightUpdate): Float64Array {
  const { rows, columns, values } = update;
  // The largest row is never orthogonal to the answer by symmetry alone.
  let largest = 0;
  let most = -1;
  for (let r = 0; r < rows; r++) {
    const length = norm(values.subarray(r * columns, (r + 1) * columns));
    if (length > most) [largest, most] = [r, length];
  }
  let direction = Float64Array.from(values.subarray(largest * columns, (largest + 1) * columns));
  for (let round = 0; round < 500; round++) {
    const left = times(update, direction);
    const next = new Float64Array(columns);
    for (let r = 0; r < rows; r++) {
      for (let c = 0, at = r * columns; c < columns; c++) next[c] += left[r] * values[at + c];
    }
    const length = norm(next);
    if (length === 0) return direction;
    let moved = 0;
    const before = norm(direction);
    for (let c = 0; c < columns; c++) {
      next[c] /= length;
      moved = Math.max(moved, Math.abs(next[c] - direction[c] / before));
    }
    direction = next;
    if (moved < 1e-12) break;
  }
  return direction;
}
