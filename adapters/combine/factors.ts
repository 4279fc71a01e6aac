/**
 * What adapters add to linear layers as LoRA's factors, in double precision: ΔW = B A.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";
import { typesOf, type ValueType } from "../../dsl/compile/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { type AnyLayer, type ParamSpec, specs, walk } from "../../dsl/layer.ts";
import { changeOf, isLinear } from "../../dsl/linear.ts";
import { join, mapTree, type Path } from "../../dsl/tree.ts";
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

/** Dimensions of one layer's update. */
export interface UpdateSize {
  /** ΔW's, [d, k]. */
  readonly shape: readonly [rows: number, columns: number];
  /** r of its factors. */
  readonly rank: number;
}

/**
 * Dimensions of an adapter's low-rank updates by layer; nothing of it is read.
 *
 * @param layer The adapted model
 */
export function updateSizes(layer: AnyLayer): ReadonlyMap<Path, UpdateSize> {
  const adapted = [...walk(layer)].flatMap(([path, inner]) =>
    isLinear(inner) && inner.adapters.length > 0 ? [[path, inner] as const] : []
  );
  const ups = typesOf(
    (params) =>
      Object.fromEntries(
        adapted.flatMap(([path, { adapters, params: own }]) =>
          changeOf(adapters, (name) => params[own[name].shared ?? join(path, name)]).lowRank
            .map(({ up }, i) => [`${path} ${i}`, up] as const)
        ),
      ),
    mapTree(({ shape }: ParamSpec): ValueType => ({ shape, dtype: "float32" }))(specs(layer)),
  );
  const rankOf = (path: Path, i = 0): number =>
    ups[`${path} ${i}`] === undefined ? 0 : ups[`${path} ${i}`].shape[1] + rankOf(path, i + 1);
  return new Map(
    adapted.map((
      [path, { shape: { inFeatures: k, outFeatures: d } }],
    ) => [path, { shape: [d, k], rank: rankOf(path) }]),
  );
}

/** The update of one layer, whose factors are made whenever they are asked for: together they are several times an adapter. */
export interface Update extends UpdateSize {
  /** The factors. */
  readonly factors: () => Factors;
}

/**
 * A placed adapter's updates by layer, each as one pair of factors.
 *
 * @param attempted What this is for
 * @param adapter The adapter, whose tensors must be there as long as factors are asked for
 * @throws OneloraError for what is no low-rank sum: gains, biases, MoRA's squares, embeddings
 */
export function updatesOf(attempted: string, { name, layer, params }: PlacedAdapter): ReadonlyMap<Path, Update> {
  const refuse = (what: string) =>
    new OneloraError({
      attempted,
      found: `${what} in ${name}`,
      allowed: "low-rank updates of linear layers: 1lora, lora, rslora, vera, miss",
    });
  const found = new Map<Path, Update>();
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
    const change = () => changeOf(inner.adapters, (own) => params[at(own)]);
    const rank = inTidy(() => {
      const { lowRank, operators, gain, inputScale, bias } = change();
      const isOther = operators.length > 0 || gain !== undefined || inputScale !== undefined || bias.length > 0;
      if (isOther) throw refuse(method);
      return lowRank.reduce((sum, { up }) => sum + up.shape[1]!, 0);
    });
    if (rank === 0) continue;
    const pairs = (): readonly Factors[] =>
      change().lowRank.map(({ up, mid, down, scale }) => ({
        up: matrixOf((mid === undefined ? up : tf.mul(up, mid)).dataSync(), d, up.shape[1]!),
        down: (down === "sum" ? Matrix.ones(1, k) : matrixOf(down.dataSync(), down.shape[0], k)).mul(scale),
      }));
    found.set(path, { shape: [d, k], rank, factors: () => joined(inTidy(pairs)) });
  }
  return found;
}

/** What a function gives that is no tensor, its tensors freed. */
function inTidy<Result>(f: () => Result): Result {
  let result: Result | undefined;
  tf.tidy(() => void (result = f()));
  return result!;
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
