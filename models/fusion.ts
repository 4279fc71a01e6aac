/**
 * Linear layers that some files hold as one (a fused qkv) and others as several, and the way between: whatever a file
 * holds, rows of its tensors make up the parameters, and the other way round.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { readable } from "../dsl/hold.ts";
import type { Path } from "../dsl/tree.ts";
import { type Fusion, type KeyMap, renamed } from "./checkpoint/keys.ts";

/** Rows of a tensor: all, or one of several equal shares. */
export interface Rows {
  /** The tensor's path. */
  readonly path: Path;
  /** Which share, of how many. */
  readonly share?: readonly [index: number, of: number];
}

/** The same parameter in another division: as its parts, or as a share of its whole. */
function divided({ whole, parts }: Fusion, path: Path): readonly Rows[] | undefined {
  const inParts = parts.flatMap((part) => renamed([whole, part], 0, path) ?? []);
  if (inParts.length > 0) return inParts.map((path) => ({ path }));
  const index = parts.findIndex((part) => renamed([part, whole], 0, path) !== undefined);
  return index < 0 ? undefined : [{ path: renamed([parts[index], whole], 0, path)!, share: [index, parts.length] }];
}

/**
 * The ways in which a file may hold a parameter, its own path first: in each, the rows of some tensors one after the other.
 *
 * @param keys The family's names
 * @param path Parameter path
 */
export function divisions(keys: KeyMap, path: Path): readonly (readonly Rows[])[] {
  const others = (keys.fusions ?? []).map((fusion) => divided(fusion, path));
  return [[{ path }], ...others.filter((rows) => rows !== undefined)];
}

/**
 * The tensors that a published file holds, as rows of a model's parameters.
 *
 * @param keys The family's names
 * @param paths Paths of the parameters
 */
export function published(keys: KeyMap, paths: readonly Path[]): ReadonlyMap<Path, readonly Rows[]> {
  const tensors = new Map<Path, readonly Rows[]>();
  for (const path of paths) {
    const fusion = keys.fusions?.find((each) => divided(each, path) !== undefined);
    const others = fusion && divided(fusion, path)!;
    const asPublished = others === undefined || (others[0].share === undefined) === (fusion!.published === "whole");
    for (const other of asPublished ? [path] : others.map(({ path }) => path)) {
      tensors.set(other, asPublished ? [{ path }] : divided(fusion!, other)!);
    }
  }
  return tensors;
}

/**
 * What a tensor's shape is to a share of its rows.
 *
 * @param shape The tensor's
 * @param rows Which rows
 */
export function shapeOfRows(shape: readonly number[], { share }: Rows): readonly number[] {
  return share === undefined ? shape : [shape[0] / share[1], ...shape.slice(1)];
}

/**
 * Rows of tensors, one after the other.
 *
 * @param rows Which rows
 * @param tensorAt The tensor at a path
 */
export function gatherRows(rows: readonly Rows[], tensorAt: (path: Path) => tf.Tensor): tf.Tensor {
  return tf.tidy(() => {
    const pieces = rows.map(({ path, share }) => {
      const tensor = readable(tensorAt(path));
      if (share === undefined) return tensor;
      const [index, of] = share;
      const count = tensor.shape[0] / of;
      return tf.slice(tensor, [index * count, ...tensor.shape.slice(1).map(() => 0)], [
        count,
        ...tensor.shape.slice(1),
      ]);
    });
    return pieces.length === 1 ? tf.clone(pieces[0]) : tf.concat(pieces, 0);
  });
}
