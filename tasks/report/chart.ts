/**
 * Line charts as SVG: d3's scales decide where ticks are, this file draws.
 *
 * @module
 */
// @ts-types="@types/d3-scale"
import { scaleLinear, scaleLog } from "d3-scale";
import { element, escaped, type Markup } from "./markup.ts";
import { isDrawable, type Point, type Series } from "./series.ts";
import { chartStyle } from "./style.ts";

/** An axis. */
export interface Axis {
  /** What is on it, with its unit. */
  readonly label: string;
  /** Its ends; by default round numbers around the data. */
  readonly domain?: Point;
  /** Whether zero is on it. */
  readonly zero?: boolean;
  /** Equal steps are equal factors; data above 0. */
  readonly log?: boolean;
  /** A tick's text. */
  readonly format?: (value: number) => string;
}

/** A chart. */
export interface Chart {
  /** Shown above it. */
  readonly title: string;
  /** From left to right. */
  readonly x: Axis;
  /** From bottom to top. */
  readonly y: Axis;
  /** Its lines. */
  readonly series: readonly Series[];
  /** Whether the line x = y is drawn. */
  readonly diagonal?: boolean;
}

/** Size of a chart without its legend, and what lies around the plot, in pixels. */
const [WIDTH, HEIGHT] = [460, 260];
const MARGIN = { left: 64, right: 24, top: 32, bottom: 44 };
const ROW = 18;

/** Pixels to a tenth. */
const px = (value: number) => Number(value.toFixed(1));

/** Ends of an axis: as given, or those of the data, never equal. */
function ends(values: readonly number[], { domain, zero }: Axis): Point {
  if (domain !== undefined) return domain;
  const own = zero ? [0, ...values] : values;
  if (own.length === 0) return [0, 1];
  const [low, high] = own.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [
    Infinity,
    -Infinity,
  ]);
  if (low < high) return [low, high];
  return low === 0 ? [0, 1] : [low - Math.abs(low) / 2, low + Math.abs(low) / 2];
}

/** Where values lie, and which of them get a tick. */
interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

function scaleOf(values: readonly number[], axis: Axis, range: Point, count: number): Scale {
  const scale = (axis.log ? scaleLog() : scaleLinear()).domain(ends(values, axis)).range(range);
  if (axis.domain === undefined) scale.nice(count);
  const format = axis.format ?? scale.tickFormat(count);
  // On a logarithmic axis the powers of ten are enough.
  const ticks = scale.ticks(count).filter((value) =>
    !axis.log || Number.isInteger(Math.round(Math.log10(value) * 1e9) / 1e9)
  );
  return {
    at: (value) => px(scale(value)),
    ticks: ticks.map((value) => ({ at: px(scale(value)), text: format(value) })),
  };
}

function line(className: string, x1: number, y1: number, x2: number, y2: number): Markup {
  return element("line", { class: className, x1, y1, x2, y2 });
}

function label(className: string, x: number, y: number, text: string, more: Record<string, string> = {}): Markup {
  return element("text", { class: className, x, y, ...more }, escaped(text));
}

/** Colour by position; beyond the last colour, dashed. */
function look(i: number): { readonly stroke: string; readonly fill: string } {
  return { stroke: `s${i % 6}${i < 6 ? "" : " dashed"}`, fill: `f${i % 6}` };
}

function drawn({ points, band = [], marked, smooth }: Series, i: number, x: Scale, y: Scale): Markup {
  const { stroke, fill } = look(i);
  const place = ([a, b]: Point) => `${x.at(a)},${y.at(b)}`;
  const outline: readonly Point[] = [
    ...band.map(([at, , high]): Point => [at, high]),
    ...band.toReversed().map(([at, low]): Point => [at, low]),
  ];
  return [
    ...(band.length === 0 ? [] : [element("polygon", { class: `band ${fill}`, points: outline.map(place).join(" ") })]),
    ...(points.length < 2 ? [] : [element("polyline", {
      class: `series ${stroke}${smooth === undefined ? "" : " faint"}`,
      points: points.map(place).join(" "),
    })]),
    ...(smooth === undefined
      ? []
      : [element("polyline", { class: `series ${stroke}`, points: smooth.map(place).join(" ") })]),
    ...(marked || points.length === 1
      ? points.map(([a, b]) => element("circle", { class: fill, cx: x.at(a), cy: y.at(b), r: 2.5 }))
      : []),
  ].join("");
}

/** Strips of a plot at most: each is as long in a page as twenty points. */
const MOST_STRIPS = 40;

/** Strips of the plot, for some or all x of its lines, which say the values there where a pointer rests: no script is needed. */
function strips(
  series: readonly Series[],
  x: Axis,
  across: Scale,
  [left, right]: Point,
  [top, bottom]: Point,
): readonly Markup[] {
  const all = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const each = Math.ceil(all.length / MOST_STRIPS);
  const found = all.filter((_, i) => (all.length - 1 - i) % each === 0);
  const text = (value: number) => `${Number(value.toPrecision(4))}`;
  return found.map((at, i) => {
    const begin = i === 0 ? left : (across.at(found[i - 1]) + across.at(at)) / 2;
    const end = i === found.length - 1 ? right : (across.at(at) + across.at(found[i + 1])) / 2;
    const values = series.flatMap(({ name, points }) =>
      points.filter(([own]) => own === at).map(([, value]) => `${name} ${text(value)}`)
    );
    const middle = px((begin + end) / 2);
    return element(
      "line",
      { class: "strip", x1: middle, x2: middle, y1: top, y2: bottom, "stroke-width": px(Math.max(end - begin, 0.1)) },
      element("title", {}, escaped([`${x.label.split(";")[0]} ${text(at)}`, ...values].join("\n"))),
    );
  });
}

/**
 * A chart as a group of SVG elements, its top left corner at the origin.
 *
 * @param chart What is on it
 */
function group({ title, x, y, series, diagonal }: Chart): Markup {
  const [left, right, top, bottom] = [MARGIN.left, WIDTH - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const shown = series.map((each) => ({
    ...each,
    points: each.points.filter((point) => point.every(isDrawable)),
  }));
  const points = shown.flatMap(({ points }) => points);
  const heights = [...points.map(([, at]) => at), ...shown.flatMap(({ band = [] }) => band.flatMap(([, ...at]) => at))];
  const across = scaleOf(points.map(([at]) => at), x, [left, right], 6);
  const upward = scaleOf(heights, y, [bottom, top], 5);
  const middle = px((top + bottom) / 2);
  return [
    label("title", 0, 14, title),
    ...upward.ticks.flatMap(({ at, text }) => [
      line("grid", left, at, right, at),
      label("tick", left - 6, at + 4, text, { "text-anchor": "end" }),
    ]),
    ...across.ticks.flatMap(({ at, text }) => [
      line("axis", at, bottom, at, bottom + 4),
      label("tick", at, bottom + 16, text, { "text-anchor": "middle" }),
    ]),
    line("axis", left, bottom, right, bottom),
    label("tick", px((left + right) / 2), HEIGHT - 10, x.label, { "text-anchor": "middle" }),
    y.label === ""
      ? ""
      : label("tick", 12, middle, y.label, { "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }),
    ...(diagonal ? [line("equal", across.at(0), upward.at(0), across.at(1), upward.at(1))] : []),
    ...shown.map((each, i) => drawn(each, i, across, upward)),
    ...strips(shown, x, across, [left, right], [top, bottom]),
  ].join("");
}

/** Longest name in a legend. */
const LONGEST = 70;

/** Names of the series, one below the other, under charts that are `below` pixels high. */
function legend(names: readonly string[], below: number): readonly Markup[] {
  return names.flatMap((name, i) => {
    const y = below + 8 + i * ROW;
    const short = [...name].length > LONGEST ? `${[...name].slice(0, LONGEST).join("")}...` : name;
    return [
      line(`series ${look(i).stroke}`, MARGIN.left, y, MARGIN.left + 22, y),
      label("", MARGIN.left + 30, y + 4, short),
    ];
  });
}

/** Most charts side by side. */
const ACROSS = 3;

/**
 * Charts of the same series, three in a row, as an SVG element, with one legend if there are several series. Its colours come
 * from the page's style; {@linkcode svgFile} makes a file of it.
 *
 * @param charts What is on them
 */
export function charts(...charts: readonly Chart[]): Markup {
  const names = charts[0].series.map(({ name }) => name);
  const rows = names.length > 1 ? names : [];
  const below = Math.ceil(charts.length / ACROSS) * HEIGHT;
  const [width, height] = [Math.min(charts.length, ACROSS) * WIDTH, below + rows.length * ROW + 8];
  const place = (i: number) => `translate(${(i % ACROSS) * WIDTH} ${Math.floor(i / ACROSS) * HEIGHT})`;
  const title = charts.map(({ title }) => title).join("; ");
  return element(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    ...charts.map((chart, i) => element("g", { transform: place(i) }, group(chart))),
    ...legend(rows, below),
  );
}

/**
 * An SVG element as a file of its own.
 *
 * @param svg The element
 */
export function svgFile(svg: string): string {
  const background = "svg { background: var(--paper); }";
  return `${svg.replace(">", `>${element("style", {}, `${chartStyle}${background}`)}`)}\n`;
}
