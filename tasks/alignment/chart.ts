/**
 * Figure 9 of the paper: alignment by principal component, a chart for every kind of layer.
 *
 * @module
 */
import { charts, type Point, thinned } from "../report/chart.ts";
import type { Alignment, LayerAlignment } from "./align.ts";

/** The mean over layers of each component's cosine; a component that few layers have is the mean of those. */
function meanCosines(layers: readonly LayerAlignment[], name: string): readonly Point[] {
  const lists = layers.flatMap(({ cosines }) => cosines[name] === undefined ? [] : [cosines[name]]);
  const longest = Math.max(...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i): Point => {
    const own = lists.flatMap((list) => i < list.length ? [list[i]] : []);
    return [i + 1, own.reduce((sum, value) => sum + value, 0) / own.length];
  });
}

/** What the legend calls a compression. */
const NAMES: Readonly<Record<string, string>> = {
  summation: "summation (1LoRA)",
  random: "random",
  lora: "learned (LoRA)",
  adapter: "another adapter",
};

/**
 * Mean absolute cosine by principal component, sorted by singular value, as SVG: one chart for each kind of layer.
 *
 * @param alignment What `align` found
 */
export function alignmentChart({ layers, kinds }: Alignment): string {
  return charts(...kinds.map(({ kind, layers: count, cosines }) => {
    const own = layers.filter((layer) => layer.kind === kind);
    const lines = Object.keys(cosines).map((name) => thinned(NAMES[name] ?? name, meanCosines(own, name)));
    const each = Math.max(...lines.map((line) => line.each));
    return {
      title: `${kind}, mean of ${count} layer${count === 1 ? "" : "s"}`,
      x: { label: each === 1 ? "principal component" : `principal component (means of ${each})` },
      y: { label: "|cosine|", zero: true },
      series: lines.map(({ series }) => series),
    };
  }));
}
