/**
 * The Fréchet distance between the features of two sets of images (Heusel et al. 2017), in double precision. With
 * InceptionV3's pool features it is FID; any other features will do.
 *
 * @module
 */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from "ml-matrix";
import { OneloraError } from "../../dsl/error.ts";

/** Mean and scatter of the features seen so far; a value, never changed in place. */
export interface FeatureStatistics {
  /** Features of an image, D. */
  readonly size: number;
  /** Images seen. */
  readonly count: number;
  /** Their mean, [D]. */
  readonly mean: Float64Array;
  /** Sum of (x - mean)(x - mean)^T, [D, D], its upper triangle alone. */
  readonly scatter: Float64Array;
}

/**
 * The state before the first image.
 *
 * @param size Features of an image
 */
export function startFeatures(size: number): FeatureStatistics {
  if (!Number.isInteger(size) || size < 1) {
    throw new OneloraError({ attempted: "gathering features", found: `${size} features`, allowed: "1 or more" });
  }
  return { size, count: 0, mean: new Float64Array(size), scatter: new Float64Array(size * size) };
}

/** Adds weight * x x^T to the upper triangle of a [D, D] matrix. */
function addOuter(matrix: Float64Array, x: Float64Array, weight: number): void {
  const size = x.length;
  for (let i = 0; i < size; i++) {
    const factor = weight * x[i];
    const row = i * size;
    for (let j = i; j < size; j++) matrix[row + j] += factor * x[j];
  }
}

/**
 * The state after a batch. Each batch is centred on its own mean, then joined (Chan et al. 1979), so that large means cost no
 * digits.
 *
 * @param state The state before it
 * @param features [batch, D], row-major, finite
 * @throws OneloraError for features that are not finite or fill no rows
 */
export function updateFeatures(state: FeatureStatistics, features: Float32Array): FeatureStatistics {
  const { size } = state;
  const rows = features.length / size;
  const strange = features.find((feature) => !Number.isFinite(feature));
  if (!Number.isInteger(rows) || strange !== undefined) {
    throw new OneloraError({
      attempted: "gathering features",
      found: strange === undefined ? `${features.length} numbers` : `feature ${strange}`,
      allowed: `finite numbers, ${size} an image`,
    });
  }
  if (rows === 0) return state;
  const mean = new Float64Array(size);
  features.forEach((feature, i) => mean[i % size] += feature / rows);
  const scatter = state.scatter.slice();
  const centred = new Float64Array(size);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < size; i++) centred[i] = features[row * size + i] - mean[i];
    addOuter(scatter, centred, 1);
  }
  const count = state.count + rows;
  const gap = mean.map((value, i) => value - state.mean[i]);
  addOuter(scatter, gap, state.count * rows / count);
  return { size, count, mean: state.mean.map((value, i) => value + gap[i] * rows / count), scatter };
}

/** The unbiased covariance: its matrix and its trace. */
function covariance({ size, count, scatter }: FeatureStatistics): { readonly matrix: Matrix; readonly trace: number } {
  const matrix = Matrix.zeros(size, size);
  let trace = 0;
  for (let i = 0; i < size; i++) {
    trace += scatter[i * size + i] / (count - 1);
    for (let j = i; j < size; j++) {
      const value = scatter[i * size + j] / (count - 1);
      matrix.set(i, j, value).set(j, i, value);
    }
  }
  return { matrix, trace };
}

/**
 * F^T with F F^T = C, [rank, D]. Directions whose variance is within rounding of 0 are left out: the square root would make
 * 1e-8 of 1e-16.
 */
function factor(matrix: Matrix): Matrix {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const least = matrix.rows * Number.EPSILON * Math.max(...realEigenvalues);
  const kept = realEigenvalues.map((_, i) => i).filter((i) => realEigenvalues[i] > Math.max(least, 0));
  const out = Matrix.zeros(kept.length, matrix.rows);
  kept.forEach((from, to) => {
    const root = Math.sqrt(realEigenvalues[from]);
    for (let i = 0; i < matrix.rows; i++) out.set(to, i, root * eigenvectorMatrix.get(i, from));
  });
  return out;
}

/**
 * d = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), C unbiased.
 *
 * With C = F F^T, tr (C1 C2)^(1/2) is the sum of the singular values of F1^T F2: no square root of a matrix that is not
 * symmetric, no imaginary parts, no offset for singular covariances. Work grows as D^3.
 *
 * @param a Features of one set, two images or more
 * @param b Features of the other
 * @throws OneloraError for fewer than two images, or features of different sizes
 *
 * @example
 * ```ts
 * import { frechetDistance, startFeatures, updateFeatures } from "@onelora/onelora/tasks";
 * import { assertAlmostEquals } from "@std/assert";
 * const features = (...values: number[]) => updateFeatures(startFeatures(1), Float32Array.from(values));
 * // Means 0 and 3, standard deviations sqrt(2) and 2 sqrt(2): 9 + 2.
 * assertAlmostEquals(frechetDistance(features(-1, 1), features(1, 5)), 11);
 * ```
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  if (a.count < 2 || b.count < 2 || a.size !== b.size) {
    throw new OneloraError({
      attempted: "measuring the Fréchet distance",
      found: `${a.count} and ${b.count} images of ${a.size} and ${b.size} features`,
      allowed: "two images or more on both sides, with as many features",
    });
  }
  const gap = a.mean.reduce((sum, value, i) => sum + (value - b.mean[i]) ** 2, 0);
  const [first, second] = [covariance(a), covariance(b)];
  const [f1, f2] = [factor(first.matrix), factor(second.matrix)];
  const shared = f1.rows === 0 || f2.rows === 0 ? [] : new SingularValueDecomposition(f1.mmul(f2.transpose()), {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal;
  const overlap = shared.reduce((sum, value) => sum + value, 0);
  return Math.max(0, gap + first.trace + second.trace - 2 * overlap);
}
