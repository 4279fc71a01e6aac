/**
 * What adapters add to linear layers as LoRA's factors, in double precision: ΔW = B A.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";
import { OneloraError } from "../../dsl/error.ts";
import { walk } from "../../dsl/layer.ts";
import { changeOf, isLinear } from "../../dsl/linear.ts";
import { join, type Path } from "../../dsl/tree.ts";
import { isUpdated } from "../weight_update.ts";
import type { PlacedAdapter } from "./stack.ts";

/** ΔW = B A of one layer. */
export interface Factors {
  /** B, [d, r]. */
  readonly up: Matrix;
  /** A, [r, k], the scale in it, as PEFT has it where it puts adapters side by side. */
  readonly down: Matrix;
}

function matrixOf(values: ArrayLike<number>, rows: number, columns: number): Matrix {
  return Matrix.from1DArray(rows, columns, Array.from(values));
}

/**
 * A placed adapter's updates by layer, each as one pair of factors.
 *
 * @param attempted What this is for
 * @param adapter The adapter
 * @throws OneloraError for what is no low-rank sum: gains, biases, MoRA's squares, embeddings
 */
export function factorsOf(attempted: string, { name, layer, params }: PlacedAdapter): ReadonlyMap<Path, Factors> {
  const refuse = (what: string) =>
    new OneloraError({
      attempted,
      found: `${what} in ${name}`,
      allowed: "low-rank updates of linear layers: 1lora, lora, rslora, vera, miss",
    });
  const found = new Map<Path, Factors>();
  for (const [path, inner] of walk(layer)) {
    if (isUpdated(inner)) throw refuse(`an update of ${path}, which is no linear layer,`);
    if (!isLinear(inner) || inner.adapters.length === 0) continue;
    const [method] = inner.adapters.map(({ name }) => name);
    const at = (own: string) => inner.params[own].shared ?? join(path, own);
    // DoRA's norms are of the model's weights, and in no file.
    const isWhole = inner.adapters.every((each) =>
      Object.keys(each.params).every((own) => params[at(`${each.name}.${own}`)] !== undefined)
    );
    if (!isWhole) throw refuse(method);
    const { inFeatures: k, outFeatures: d } = inner.shape;
    let pairs: readonly Factors[] = [];
    tf.tidy(() => {
      const { lowRank, operators, gain, inputScale, bias } = changeOf(inner.adapters, (own) => params[at(own)]);
      const isOther = operators.length > 0 || gain !== undefined || inputScale !== undefined || bias.length > 0;
      if (isOther) throw refuse(method);
      pairs = lowRank.map(({ up, mid, down, scale }) => ({
        up: matrixOf((mid === undefined ? up : tf.mul(up, mid)).dataSync(), d, up.shape[1]!),
        down: (down === "sum" ? Matrix.ones(1, k) : matrixOf(down.dataSync(), down.shape[0], k)).mul(scale),
      }));
    });
    if (pairs.length > 0) found.set(path, joined(pairs));
  }
  return found;
}

/** The sum of products as one product: B = [B1 B2 ...], A = [A1; A2; ...]. */
export function joined(pairs: readonly Factors[]): Factors {
  return pairs.reduce(({ up, down }, next) => {
    const [d, r, k, s] = [up.rows, up.columns, down.columns, next.up.columns];
    const [wide, tall] = [Matrix.zeros(d, r + s), Matrix.zeros(r + s, k)];
    wide.setSubMatrix(up, 0, 0).setSubMatrix(next.up, 0, r);
    tall.setSubMatrix(down, 0, 0).setSubMatrix(next.down, r, 0);
    return { up: wide, down: tall };
  });
}

/** The same product with zeros up to a rank. */
export function padded({ up, down }: Factors, rank: number): Factors {
  if (up.columns === rank) return { up, down };
  return {
    up: Matrix.zeros(up.rows, rank).setSubMatrix(up, 0, 0),
    down: Matrix.zeros(rank, down.columns).setSubMatrix(down, 0, 0),
  };
}

/**
 * The nearest product of a rank (Eckart and Young 1936): B = U S, A = V^T of the largest singular values.
 *
 * @param factors B and A
 * @param rank How many are kept
 */
export function truncated({ up, down }: Factors, rank: number): Factors {
  const [d, k] = [up.rows, down.columns];
  const isThin = up.columns < Math.min(d, k);
  // Of thin factors only a small core is decomposed: B A = Q1 (R1 R2^T) Q2^T.
  const [left, right] = isThin ? [new QrDecomposition(up), new QrDecomposition(down.transpose())] : [];
  const core = left === undefined
    ? up.mmul(down)
    : left.upperTriangularMatrix.mmul(right!.upperTriangularMatrix.transpose());
  const svd = new SingularValueDecomposition(core, { autoTranspose: true });
  const kept = Math.min(rank, svd.diagonal.length);
  const columns = (matrix: Matrix) => matrix.subMatrix(0, matrix.rows - 1, 0, kept - 1);
  const u = columns(svd.leftSingularVectors).mulRowVector(svd.diagonal.slice(0, kept));
  const v = columns(svd.rightSingularVectors);
  return {
    up: left === undefined ? u : left.orthogonalMatrix.mmul(u),
    down: (right === undefined ? v : right.orthogonalMatrix.mmul(v)).transpose(),
  };
}
