/**
 * What weight decay acts on.
 *
 * @module
 */

import { type AnyLayer, walk } from "../../dsl/layer.ts";
import { join, type Params } from "../../dsl/tree.ts";

/**
 * What trained parameters are changes of, by their paths: b0 of BitFit's beta. Of one that is trained too nothing is given.
 *
 * @param layer The adapted model
 * @param params Its parameters
 * @returns The given tensors
 */
export function originsOf(layer: AnyLayer, params: Params): Params {
  return Object.fromEntries(
    [...walk(layer)].flatMap(([path, { params: own }]) =>
      Object.entries(own).flatMap(([name, { trainable, changeOf, shared }]) => {
        const origin = changeOf === undefined ? undefined : own[changeOf];
        if (!trainable || origin === undefined || origin.trainable) return [];
        return [[shared ?? join(path, name), params[origin.shared ?? join(path, changeOf!)]]];
      })
    ),
  );
}
