/**
 * The paper's bubble chart as a Vega-Lite specification: time and metric of each method, the area of a bubble its number
 * of parameters; time and memory as bars beside, in the same colours.
 *
 * @module
 */
import { freeCorner, placeLabels } from "./labels.ts";
import { lookOf } from "./look.ts";
import type { Row, Trial } from "./rows.ts";
import { type Shown, unitOf } from "./table.ts";

type Spec = Readonly<Record<string, unknown>>;

/** Largest area of a bubble, in square pixels. */
const AREA = 1500;
/** The bubble chart. */
const SIZE = { width: 520, height: 400 };
/** Width of the bars. */
const BARS = 150;

/** A method in the chart. */
interface Value {
  readonly method: string;
  readonly reference: boolean;
  readonly time: number | null;
  readonly mean: number;
  readonly least: number;
  readonly most: number;
  readonly minutes: number | null;
  readonly best: number | null;
  readonly memory: number;
  readonly share: string;
  readonly parameters: number;
}

/** Titles of the chart's times. */
const TIMES = { step: "ms a step", best: "min to the best value, evaluations included" };

/** What the times of a chart are. */
type Time = keyof typeof TIMES;

function valueOf(label: string, reference: boolean, best: Trial, factor: number, time: Time): Value {
  const { metric: { mean, deviation = 0 }, stepSeconds, seconds, bestSeconds, share, peakRssBytes, parameters } = best;
  const timed = <Number>(value: Number | undefined) => stepSeconds === undefined || value === undefined ? null : value;
  return {
    method: label,
    reference,
    time: timed(time === "step" ? stepSeconds && stepSeconds * 1000 : (bestSeconds ?? seconds) / 60),
    mean: mean * factor,
    least: (mean - deviation) * factor,
    most: (mean + deviation) * factor,
    minutes: timed(seconds / 60),
    best: timed(bestSeconds && bestSeconds / 60),
    memory: peakRssBytes / 1e6,
    share: share === undefined ? "" : `${Number((100 * share).toPrecision(2))} %`,
    parameters,
  };
}

/** Numbers with room around them. */
function domainOf(values: readonly number[]): readonly [number, number] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = 0.12 * (most - least || Math.abs(most) || 1);
  return [least - room, most + room];
}

/** A count as a legend has it. */
function rounded(count: number): number {
  return Number(count.toPrecision(1));
}

/** Values with the places of their labels, and the ranges that these were found in. */
function labelled(values: readonly Value[], cap: number) {
  const timed = values.filter((value): value is Value & { readonly time: number } => value.time !== null);
  const x = domainOf(timed.map(({ time }) => time));
  const y = domainOf(timed.flatMap(({ least, most }) => [least, most]));
  const across = (value: number) => (value - x[0]) / (x[1] - x[0]) * SIZE.width;
  const down = (value: number) => (1 - (value - y[0]) / (y[1] - y[0])) * SIZE.height;
  const marks = timed.map(({ time, mean, method, parameters }) => ({
    x: across(time),
    y: down(mean),
    radius: Math.max(4, Math.sqrt(AREA * Math.min(parameters, cap) / cap / Math.PI)),
    text: method,
  }));
  const labels = placeLabels(marks, SIZE);
  const places = new Map(labels.map((place, i) => [timed[i].method, place]));
  const found = values.map((value) => {
    const place = places.get(value.method);
    return {
      ...value,
      isFar: place?.isFar ?? false,
      labelX: place === undefined ? null : x[0] + place.x / SIZE.width * (x[1] - x[0]),
      labelY: place === undefined ? null : y[0] + (1 - place.y / SIZE.height) * (y[1] - y[0]),
    };
  });
  return { values: found, x, y, corner: freeCorner([...marks, ...labels], SIZE) };
}

/** Methods without a place in the chart, a line for each reason. */
function absent(rows: readonly Row[]): readonly string[] {
  const reasons = rows.filter(({ best }) => best === undefined).map(({ label, failed, pending, searching }) => {
    const why = searching ? "rates still to be found" : failed > 0 ? `${failed} runs failed` : `${pending} to be run`;
    return [why, label] as const;
  });
  return [...Map.groupBy(reasons, ([why]) => why)].map(([why, those]) =>
    `missing (${why}): ${those.map(([, label]) => label).join(", ")}`
  );
}

/** Lines that are in the chart's time. */
const TIMED = { filter: "datum.time !== null" };

/** The bubbles, their whiskers and names. */
function bubbles(
  { x: times, y: range, corner }: ReturnType<typeof labelled>,
  [timeTitle, title]: readonly [x: string, y: string],
  cap: number,
  { colour, shape }: Readonly<Record<"colour" | "shape", Spec>>,
): Spec {
  const x = (field: string) => ({
    field,
    type: "quantitative",
    title: timeTitle,
    scale: { domain: times, nice: false },
  });
  const y = (field: string) => ({ field, type: "quantitative", title, scale: { domain: range, nice: false } });
  const size = {
    field: "parameters",
    type: "quantitative",
    scale: { domain: [0, cap], range: [40, AREA], clamp: true },
    legend: {
      title: "trained",
      values: [...new Set([rounded(cap / 10), rounded(cap / 3), cap])],
      orient: corner,
      symbolType: "circle",
      labelExpr: "format(datum.value, ',')",
    },
  };
  return {
    ...SIZE,
    layer: [
      {
        transform: [{ filter: "datum.isFar" }],
        mark: { type: "rule", color: "#9aa4af", strokeWidth: 0.7 },
        encoding: { x: x("time"), y: y("mean"), x2: { field: "labelX" }, y2: { field: "labelY" } },
      },
      {
        transform: [TIMED],
        mark: { type: "errorbar", ticks: true },
        encoding: { x: x("time"), y: y("least"), y2: { field: "most" }, color: colour },
      },
      {
        // The largest first, so that none hides a smaller one.
        transform: [TIMED, {
          window: [{ op: "rank", as: "place" }],
          sort: [{ field: "parameters", order: "descending" }],
        }],
        mark: { type: "point", filled: true, opacity: 0.55, stroke: "white", strokeWidth: 1 },
        encoding: {
          x: x("time"),
          y: y("mean"),
          color: colour,
          shape,
          order: { field: "parameters", sort: "descending" },
          size,
        },
      },
      {
        transform: [TIMED],
        mark: { type: "text", fontSize: 11, fontWeight: 600, baseline: "middle" },
        encoding: { x: x("labelX"), y: y("labelY"), text: { field: "method" }, color: colour },
      },
    ],
  };
}

/** Minutes as bars, with the moment of the best value. */
function minutes(bars: Spec, colour: Spec): Spec {
  return {
    width: BARS,
    height: SIZE.height,
    encoding: { y: bars },
    layer: [
      {
        transform: [TIMED],
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
  };
}

/** Memory as bars, with its share. */
function memory(bars: Spec, colour: Spec): Spec {
  return {
    width: BARS,
    height: SIZE.height,
    encoding: {
      x: { field: "memory", type: "quantitative", title: "peak MB" },
      y: { ...bars, axis: { labels: false, ticks: false } },
    },
    layer: [
      { mark: "bar", encoding: { color: colour } },
      { mark: { type: "text", align: "left", dx: 3 }, encoding: { text: { field: "share", type: "nominal" } } },
    ],
  };
}

/**
 * The chart of a sweep.
 *
 * @param shown What is shown
 * @returns The chart; undefined while no method has trained, for its axes are time and what was reached in it
 */
export function chartOf(
  { title, rows, deciding: { metric, better }, metricTitle, time = "step" }: Omit<Shown, "beside" | "notes">,
): Spec | undefined {
  const { title: known, factor } = unitOf(metric);
  const present = rows.flatMap(({ best, ...row }) => best === undefined ? [] : [{ ...row, best }]);
  const plain = present.map(({ label, reference, best }) => valueOf(label, reference, best, factor, time));
  if (plain.every(({ time }) => time === null)) return undefined;
  const own = plain.filter(({ reference }) => !reference).map(({ parameters }) => parameters);
  const cap = Math.max(1, ...(own.length > 0 ? own : plain.map(({ parameters }) => parameters)));
  const capped = plain.filter(({ parameters }) => parameters > cap).map(({ method }) => method);
  const placed = labelled(plain, cap);
  const { values } = placed;
  const methods = values.map(({ method }) => method);
  const looks = present.map(({ method }) => lookOf(method));
  // Labels and the bars' names are the legend.
  const looking = (range: readonly string[]) => ({
    field: "method",
    type: "nominal",
    sort: null,
    scale: { domain: methods, range },
    legend: null,
  });
  const colour = looking(looks.map(({ colour }) => colour));
  const shape = looking(looks.map(({ shape }) => shape));
  const bars = { type: "nominal", field: "method", title: null, sort: null, scale: { domain: methods } };
  const busy = present.some(({ best }) => best.busy || best.shared);
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    config: { font: "DejaVu Sans, Helvetica, Arial, sans-serif", view: { stroke: "#d8dee4" } },
    title: {
      text: title,
      subtitle: [
        [
          `bubble area: trained parameters${capped.length === 0 ? "" : ` (${capped.join(", ")} capped)`}`,
          "whiskers: ± standard deviation over seeds",
          // As a line it would press the others together: it is often far off.
          ...values.filter(({ time }) => time === null).map(({ method, mean }) => `${method}: ${mean.toPrecision(4)}`),
          ...busy ? ["times of a busy machine"] : [],
        ].join("; "),
        ...absent(rows),
      ],
      anchor: "start",
    },
    data: { values },
    resolve: { legend: { size: "independent" } },
    hconcat: [
      bubbles(placed, [TIMES[time], `${metricTitle ?? known} (${better} is better)`], cap, { colour, shape }),
      minutes(bars, colour),
      memory(bars, colour),
    ],
  };
}
