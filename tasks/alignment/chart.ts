/**
 * Figure 9 of the paper: alignment by principal component, a chart for every kind of layer.
 *
 * @module
 */
import { charts } from "../report/chart.ts";
import type { Point } from "../report/series.ts";
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
  const panels = kinds.map(({ kind, layers: count, cosines }) => {
    const own = layers.filter((layer) => layer.kind === kind);
    return {
      title: `${kind}, mean of ${count} layer${count === 1 ? "" : "s"}`,
      series: Object.keys(cosines).map((name) => ({ name: NAMES[name] ?? name, points: meanCosines(own, name) })),
    };
  });
  // One scale for all, so that kinds can be compared by eye.
  const most = Math.max(...panels.flatMap(({ series }) => series.flatMap(({ points }) => points.map(([, y]) => y))));
  const top = Math.min(1, Math.ceil(most * 10) / 10);
  return charts(...panels.map(({ title, series }) => ({
    title,
    // The first components are the ones that matter, and on an even axis they would be one.
    x: {
      label: "principal component, by singular value",
      log: true,
      domain: [1, Math.max(2, ...series.map(({ points }) => points.length))] as const,
    },
    y: { label: "|cosine|", domain: [0, top] as const },
    series,
  })));
}
