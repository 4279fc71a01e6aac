/**
 * What fine-tuning changed: W_ft - W_0 of every linear layer of a run.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { type Layer, walk } from "../../dsl/layer.ts";
import { isLinear } from "../../dsl/linear.ts";
import { key } from "../../dsl/random.ts";
import { join, type Params, type Path } from "../../dsl/tree.ts";
import { mergeOpened, openTrained } from "../open.ts";
import type { Kept } from "../trainer/needs.ts";
import { parameterBytes, planLoading } from "../trainer/plan.ts";
import type { WeightUpdate } from "./components.ts";

/** A model and the folder of an adapter trained on it. */
export interface AdaptedRun {
  /** What `openModel` takes. */
  readonly model: string;
  /** The adapter's folder. */
  readonly adapter: string;
}

/** The update of one layer, or of one third of a fused query-key-value layer. */
export interface LayerUpdate extends WeightUpdate {
  /** The layer's path; a fused layer's thirds end in `.q`, `.k`, `.v`. */
  readonly path: Path;
  /** q, k, v, o, fc1, fc2, or the layer's own name. */
  readonly kind: string;
}

/** The published names of a transformer block's linear layers, by what they are. */
const KINDS: Readonly<Record<string, RegExp>> = {
  q: /(^|\.)(query|q_proj|to_q)$/,
  k: /(^|\.)(key|k_proj|to_k)$/,
  v: /(^|\.)(value|v_proj|to_v)$/,
  o: /(^|\.)((attention|self_attn|attn)\.(output\.dense|proj)|o_proj|to_out\.0)$/,
  fc1: /(^|\.)(intermediate\.dense|mlp\.fc1|ff\.net\.0\.proj)$/,
  fc2: /(^|\.)(output\.dense|mlp\.fc2|ff\.net\.2)$/,
};

/**
 * What a layer is in its block: q, k, v, o, fc1, fc2; else the last segment of its path.
 *
 * @param path The layer's path
 */
export function kindOfLayer(path: Path): string {
  const kind = Object.entries(KINDS).find(([, pattern]) => pattern.test(path))?.[0];
  return kind ?? path.slice(path.lastIndexOf(".") + 1);
}

/** The thirds of a fused layer, else the layer itself. */
function split(path: Path, isFused: boolean, update: WeightUpdate): readonly LayerUpdate[] {
  if (!isFused) return [{ ...update, path, kind: kindOfLayer(path) }];
  const rows = update.rows / 3;
  return ["q", "k", "v"].map((kind, i) => ({
    path: join(path, kind),
    kind,
    rows,
    columns: update.columns,
    values: update.values.subarray(i * rows * update.columns, (i + 1) * rows * update.columns),
  }));
}

/** Every tensor of several trees, each once. */
function freeAll(...trees: readonly Params[]): void {
  dispose([...new Set<Tensor>(trees.flatMap((tree) => Object.values(tree)))]);
}

/**
 * The updates of a run's linear layers, in the model's order; layers whose weight did not change are left out.
 *
 * @param run See {@linkcode AdaptedRun}
 * @throws OneloraError if no linear layer was changed
 */
export async function layerUpdates({ model: name, adapter }: AdaptedRun): Promise<readonly LayerUpdate[]> {
  // The model, the one that was trained, and its weights with the updates in them are there at once.
  const needs = (layer: Layer, kept: Kept) => planLoading(layer, kept) + 2 * parameterBytes(layer, kept.forms);
  const use = { attempted: `comparing ${adapter} with ${name}`, needs: () => needs };
  const base = await openTrained(name, { key: key(0), use });
  try {
    const opened = await openTrained(name, { adapter, key: key(0) });
    const merged = await mergeOpened(opened);
    try {
      const updates: LayerUpdate[] = [];
      for (const [path, layer] of walk(base.layer)) {
        // A head may be for other classes: it is no part of the comparison.
        if (!isLinear(layer) || layer.role === "head") continue;
        const [before, after] = [base.params, merged.params].map((params) => params[join(path, "weight")]);
        const [first, second] = await Promise.all([before.data<"float32">(), after.data<"float32">()]);
        const values = Float64Array.from(second, (value, i) => value - first[i]);
        if (values.every((value) => value === 0)) continue;
        const { inFeatures: columns, outFeatures: rows } = layer.shape;
        updates.push(...split(path, layer.role === "qkv" && rows === 3 * columns, { rows, columns, values }));
      }
      if (updates.length > 0) return updates;
      throw new OneloraError({
        attempted: `reading what ${adapter} changed`,
        found: "no linear layer with another weight",
        allowed: "a run that changes weights, such as `adapter: all` or lora",
      });
    } finally {
      freeAll(opened.params, merged.params);
    }
  } finally {
    freeAll(base.params);
  }
}
