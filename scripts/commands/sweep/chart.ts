/**
 * The paper's bubble chart as a Vega-Lite specification: time and metric of each method, the area of a bubble its number
 * of parameters; memory as bars beside, in the same colours.
 *
 * @module
 */
import { type Shown, unitOf } from "./table.ts";

type Spec = Readonly<Record<string, unknown>>;

/** Largest area of a bubble, in square pixels. */
const AREA = 1500;

/**
 * The chart of a sweep.
 *
 * @param shown What is shown
 */
export function chartOf(
  { title, rows, deciding: { metric, better }, metricTitle }: Omit<Shown, "beside" | "notes">,
): Spec {
  const { title: known, factor } = unitOf(metric);
  const name = metricTitle ?? known;
  const values = rows.flatMap(({ label, best, reference }) =>
    best === undefined ? [] : [{
      method: label,
      reference,
      time: best.stepSeconds === undefined ? null : best.stepSeconds * 1000,
      mean: best.metric.mean * factor,
      least: (best.metric.mean - (best.metric.deviation ?? 0)) * factor,
      most: (best.metric.mean + (best.metric.deviation ?? 0)) * factor,
      minutes: best.stepSeconds === undefined ? null : best.seconds / 60,
      best: best.stepSeconds === undefined || best.bestSeconds === undefined ? null : best.bestSeconds / 60,
      memory: best.peakRssBytes / 1e6,
      share: best.share === undefined ? "" : `${Number((100 * best.share).toPrecision(2))} %`,
      parameters: best.parameters,
    }]
  );
  const own = values.filter(({ reference }) => !reference).map(({ parameters }) => parameters);
  const cap = Math.max(1, ...(own.length > 0 ? own : values.map(({ parameters }) => parameters)));
  const capped = values.filter(({ parameters }) => parameters > cap).map(({ method }) => method);
  const methods = values.map(({ method }) => method);
  const colour = {
    field: "method",
    type: "nominal",
    sort: null,
    scale: { domain: methods, scheme: methods.length > 10 ? "tableau20" : "tableau10" },
    // The bars' names are the legend.
    legend: null,
  };
  const timed = { filter: "datum.time !== null" };
  const x = { field: "time", type: "quantitative", title: "ms a step", scale: { zero: false, padding: 30 } };
  const scale = { zero: false, padding: 20 };
  const y = (field: string) => ({
    field,
    type: "quantitative",
    title: `${name} (${better} is better)`,
    scale,
  });
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    title: {
      text: title,
      subtitle: [
        `bubble area: trained parameters${capped.length === 0 ? "" : ` (${capped.join(", ")} capped)`}`,
        // As a line it would press the others together: it is often far off.
        ...values.filter(({ time }) => time === null).map(({ method, mean }) => `${method}: ${mean.toPrecision(4)}`),
      ].join("; "),
      anchor: "start",
    },
    data: { values },
    hconcat: [
      {
        width: 480,
        height: 360,
        layer: [
          {
            transform: [timed],
            mark: { type: "rule" },
            encoding: { x, y: y("least"), y2: { field: "most" }, color: colour },
          },
          {
            transform: [timed],
            mark: { type: "circle", opacity: 0.5 },
            encoding: {
              x,
              y: y("mean"),
              color: colour,
              size: {
                field: "parameters",
                type: "quantitative",
                scale: { domain: [0, cap], range: [0, AREA], clamp: true },
                legend: null,
              },
            },
          },
          { transform: [timed], mark: { type: "circle", size: 16 }, encoding: { x, y: y("mean"), color: colour } },
        ],
      },
      {
        width: 160,
        height: 360,
        encoding: { y: { field: "method", type: "nominal", title: null, sort: null } },
        layer: [
          {
            transform: [timed],
            mark: "bar",
            encoding: {
              x: { field: "minutes", type: "quantitative", title: "min (line: best value reached)" },
              color: colour,
            },
          },
          {
            transform: [{ filter: "datum.best !== null" }],
            mark: { type: "tick", color: "black", thickness: 2 },
            encoding: { x: { field: "best", type: "quantitative" } },
          },
        ],
      },
      {
        width: 160,
        height: 360,
        encoding: {
          x: { field: "memory", type: "quantitative", title: "peak MB" },
          y: { field: "method", type: "nominal", title: null, sort: null, axis: { labels: false, ticks: false } },
        },
        layer: [
          { mark: "bar", encoding: { color: colour } },
          { mark: { type: "text", align: "left", dx: 3 }, encoding: { text: { field: "share", type: "nominal" } } },
        ],
      },
    ],
  };
}
