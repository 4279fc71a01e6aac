/**
 * How far the vectors that compress a layer's input (summation, random, learned) point along the principal components of a
 * full update (paper, section 5.2, Figure 9).
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, key, normal } from "../../dsl/random.ts";
import type { Path } from "../../dsl/tree.ts";
import { leadingDirection, principalComponents } from "./components.ts";
import { type AdaptedRun, type LayerUpdate, layerUpdates } from "./updates.ts";

/** Absolute cosines between the principal components of a layer's update, in order, and each compression vector. */
export interface LayerAlignment {
  /** The layer. */
  readonly path: Path;
  /** q, k, v, o, fc1, fc2, or the layer's own name. */
  readonly kind: string;
  /** [d, k] */
  readonly shape: readonly [number, number];
  /** Singular values of the full update, largest first. */
  readonly singularValues: readonly number[];
  /** By compression: summation, random, lora, adapter. */
  readonly cosines: Readonly<Record<string, readonly number[]>>;
}

/** Cosines of one kind of layer and one compression, over its layers. */
export interface KindAlignment {
  /** q, k, v, o, fc1, fc2, ... */
  readonly kind: string;
  /** How many layers. */
  readonly layers: number;
  /** By compression: the mean with the first component, the mean with the first ten, and the largest of all. */
  readonly cosines: Readonly<
    Record<string, { readonly first: number; readonly firstTen: number; readonly most: number }>
  >;
}

/** What {@linkcode align} finds. */
export interface Alignment {
  /** Layer by layer. */
  readonly layers: readonly LayerAlignment[];
  /** Kind by kind. */
  readonly kinds: readonly KindAlignment[];
}

/** Options of {@linkcode align}. */
export interface AlignOptions {
  /** A run that trained all weights. */
  readonly full: AdaptedRun;
  /** A run with LoRA: its A, or for r > 1 the leading right singular vector of B A. */
  readonly lora: AdaptedRun;
  /** A run with any other method: the leading right singular vector of its update. */
  readonly adapter?: AdaptedRun;
  /** Random vectors whose mean is taken (default 8). */
  readonly randoms?: number;
  /** Their seed (default 0). */
  readonly seed?: number;
  /** Called before each layer. */
  readonly onLayer?: (path: Path, index: number, count: number) => void;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The mean of several lists, entry by entry. */
function meanOf(lists: readonly ArrayLike<number>[]): readonly number[] {
  return Array.from(lists[0], (_, i) => mean(lists.map((list) => list[i])));
}

/** Joins the layers of each kind, in order of first appearance. */
export function byKind(layers: readonly LayerAlignment[]): readonly KindAlignment[] {
  return [...new Set(layers.map(({ kind }) => kind))].map((kind) => {
    const own = layers.filter((layer) => layer.kind === kind);
    const compressions = Object.keys(own[0].cosines);
    const summary = (name: string) => {
      const lists = own.flatMap(({ cosines }) => cosines[name] === undefined ? [] : [cosines[name]]);
      return {
        first: mean(lists.map(([first]) => first)),
        firstTen: mean(lists.map((list) => mean(list.slice(0, 10)))),
        most: lists.reduce((most, list) => list.reduce((a, b) => Math.max(a, b), most), 0),
      };
    };
    return { kind, layers: own.length, cosines: Object.fromEntries(compressions.map((name) => [name, summary(name)])) };
  });
}

function alignLayer(
  update: LayerUpdate,
  learned: Readonly<Record<string, LayerUpdate | undefined>>,
  { randoms = 8, seed = 0 }: Pick<AlignOptions, "randoms" | "seed">,
): LayerAlignment {
  const { path, kind, rows, columns } = update;
  const { singular, cosines } = principalComponents(update);
  const random = (i: number) => cosines(normal(fold(key(seed), "align", path, i), columns));
  const directions = Object.entries(learned).flatMap(([name, own]) =>
    own === undefined ? [] : [[name, [...cosines(leadingDirection(own))]] as const]
  );
  return {
    path,
    kind,
    shape: [rows, columns],
    singularValues: [...singular],
    cosines: {
      summation: [...cosines(new Float64Array(columns).fill(1))],
      random: meanOf(Array.from({ length: randoms }, (_, i) => random(i))),
      ...Object.fromEntries(directions),
    },
  };
}

/**
 * Aligns compression vectors with the principal components of a full update. For a component v and a vector x the number is
 * |v . x| / (|v| |x|); a random x of k numbers has sqrt(2 / (pi k)) on average.
 *
 * @param options See {@linkcode AlignOptions}
 * @throws OneloraError for runs of different models, and runs that change no weight
 */
export async function align(options: AlignOptions): Promise<Alignment> {
  const { full, lora, adapter, onLayer } = options;
  const other = [lora, ...(adapter === undefined ? [] : [adapter])].find(({ model }) => model !== full.model);
  if (other !== undefined) {
    throw new OneloraError({
      attempted: "comparing updates",
      found: `runs of ${full.model} and of ${other.model}`,
      allowed: "runs of one model",
    });
  }
  const updates = await layerUpdates(full);
  const named = async (run?: AdaptedRun) =>
    new Map((run === undefined ? [] : await layerUpdates(run)).map((update) => [update.path, update]));
  const [learned, own] = [await named(lora), await named(adapter)];
  // Layers that no method adapts are trained by a full run too, and have nothing to be compared with.
  const compared = updates.filter(({ path }) => learned.has(path));
  if (compared.length === 0) {
    throw new OneloraError({
      attempted: "comparing updates",
      found: `no layer that both ${full.adapter} and ${lora.adapter} change`,
      allowed: "runs of one model, the first with all weights trained",
    });
  }
  const layers = compared.map((update, index) => {
    onLayer?.(update.path, index, compared.length);
    return alignLayer(update, { lora: learned.get(update.path), adapter: own.get(update.path) }, options);
  });
  return { layers, kinds: byKind(layers) };
}
