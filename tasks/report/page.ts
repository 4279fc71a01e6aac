/**
 * A run as one page that needs nothing else: no network, no scripts, no other files.
 *
 * @module
 */
import { isObject } from "../../dsl/files/json.ts";
import { calibrationChart } from "./calibration.ts";
import { curves } from "./curves.ts";
import type { Json, RunFolder, Shown, Told } from "./folder.ts";
import { markdown } from "./markdown.ts";
import { element, escaped, type Markup } from "./markup.ts";
import { chartStyle, pageStyle } from "./style.ts";

/** A name, what it is, and the same in a unit that is easier to read, if there is one. */
type Row = readonly [name: string, value: unknown, also?: string];

/** A value as text. */
function shown(value: unknown): string {
  if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(5)));
}

/** A section with a table; nothing without rows. */
function table(title: string, rows: readonly Row[]): Markup {
  if (rows.length === 0) return "";
  const look = { class: rows.every(([, value]) => typeof value === "number") ? "number" : "word" };
  const inOthers = rows.some(([, , also]) => also !== undefined);
  const lines = rows.map(([name, value, also]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, escaped(name)),
      element("td", look, escaped(shown(value))),
      ...inOthers ? [element("td", { class: "number" }, escaped(also ?? ""))] : [],
    )
  );
  return element(
    "section",
    {},
    element("h2", {}, escaped(title)),
    element("table", {}, element("tbody", {}, ...lines)),
  );
}

/** Nested objects as rows, names joined by dots. */
function rowsOf(value: Json, prefix: string = ""): readonly Row[] {
  return Object.entries(value).flatMap(([name, part]): readonly Row[] =>
    isObject(part) ? rowsOf(part, `${prefix}${name}.`) : [[`${prefix}${name}`, part]]
  );
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null ? value as Json : {};
}

/** Hours, minutes and seconds. */
function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  return `${hours > 0 ? `${hours} h ` : ""}${minutes} min ${whole % 60} s`;
}

const percent = (share: number) => `${Number((100 * share).toPrecision(4))} %`;
const megabytes = (bytes: number) => `${Math.round(bytes / 1e6).toLocaleString("en-US")} MB`;

/** How a number of the summary is shown. */
type Showing = readonly [key: string, name: string, show: (value: number) => string];

const COSTS: readonly Showing[] = [
  ["steps", "steps", (value) => value.toLocaleString("en-US")],
  ["seconds", "time in all", duration],
  ["bestSeconds", "time to the best value", duration],
  ["stepSeconds", "median step", (value) => `${Number((1000 * value).toPrecision(3))} ms`],
  ["peakRssBytes", "peak memory of the process", megabytes],
];

/** Metrics that are named otherwise than in files. */
const METRICS: Readonly<Record<string, string>> = {
  count: "examples",
  top5: "top-5 accuracy",
  ece: "calibration error (ECE)",
  map: "mAP",
  f1Micro: "F1, micro",
  f1Macro: "F1, macro",
  exactMatch: "exact match",
  absRel: "AbsRel",
  rmse: "RMSE, m",
};

/** Metrics that are shares of one. */
const SHARES = /^(accuracy.*|top5|ece|map|f1.*|exactMatch|delta\d)$/;

/** Metrics by name, shares in per cent too. */
function metricRows(metrics: Json): readonly Row[] {
  return rowsOf(metrics).map(([name, value]): Row => {
    const known = METRICS[name] ?? name;
    return typeof value === "number" && SHARES.test(name) ? [known, value, percent(value)] : [known, value];
  });
}

/** What else a summary has, of which the bare number says little. */
const OTHERS: readonly Showing[] = [
  ["memory.peakBytes", "peak memory in training", megabytes],
  ["memory.wholeBytes", "peak memory, evaluations included", megabytes],
  ["memory.deviceBytes", "peak memory on the GPU", megabytes],
  ["memory.share", "share of all memory", percent],
  ["otherLoad", "processor time of other programs", percent],
  ["deciding.metric", "best by", shown],
  ["deciding.better", "better is", shown],
  ["best.value", "best value", shown],
  ["best.step", "step of the best value", shown],
  ["plannedPeakBytes", "planned peak of a step's tensors", megabytes],
  ["versions.onelora", "onelora", shown],
  ["versions.deno", "Deno", shown],
  ["versions.v8", "V8", shown],
  ["versions.tfjs", "TensorFlow.js", shown],
  ["versions.target", "system", shown],
];

/** Rows with names and units of their own where there are some. */
function named(rows: readonly Row[]): readonly Row[] {
  return rows.map(([name, value]): Row => {
    const showing = OTHERS.find(([key]) => key === name);
    if (showing === undefined) return [name, value];
    return [showing[1], typeof value === "number" ? showing[2](value) : value];
  });
}

/** Trainable and total counts, with their share of all. */
function parameterRows(parameters: Json): readonly Row[] {
  const { total } = parameters;
  const named: Readonly<Record<string, string>> = { adapter: "trained, head aside", head: "trained, head" };
  return Object.entries(parameters).map(([name, count]): Row => {
    const isPart = typeof count === "number" && typeof total === "number" && total > 0 && name !== "total";
    const share = isPart ? ` (${Number((100 * count / total).toPrecision(3))} %)` : "";
    return [named[name] ?? name, isPart ? `${count.toLocaleString("en-US")}${share}` : count];
  });
}

/** What the summary holds: metrics, parameters, cost, and what is not among the settings. */
function results(summary: Json, config: Json): Markup {
  const { metrics, parameters, ...others } = summary;
  const costs = COSTS.flatMap(([key, name, show]): readonly Row[] => {
    const value = others[key];
    return typeof value === "number" ? [[name, show(value)]] : [];
  });
  const rest = Object.fromEntries(
    Object.entries(others).filter(([key, value]) => !COSTS.some(([known]) => known === key) && config[key] !== value),
  );
  return element(
    "div",
    { class: "tables" },
    table("Metrics", metricRows(object(metrics))),
    table("Parameters", parameterRows(object(parameters))),
    table("Time and memory", costs),
    table("Run", named(rowsOf(rest))),
  );
}

function section(title: string, className: string, content: readonly Markup[]): Markup {
  if (content.length === 0) return "";
  return element("section", {}, element("h2", {}, escaped(title)), element("div", { class: className }, ...content));
}

function picture({ name, caption, png, width }: Shown): Markup {
  const source = `data:image/png;base64,${png.toBase64()}`;
  return element(
    "figure",
    {},
    element("img", { src: source, alt: caption ?? name, width: Math.max(width, 192) }),
    element("figcaption", {}, escaped(caption ?? name)),
  );
}

function told({ name, text }: Told): Markup {
  const content = name.endsWith(".md") ? markdown(text) : element("pre", {}, escaped(text));
  // Its name in words: `answers.md` is "Answers".
  const words = name.replace(/\.(md|txt)$/, "").replaceAll(/[-_]+/g, " ");
  return section(words.replace(/^./, (first) => first.toUpperCase()), "text", [content]);
}

/** Lets the page load nothing and run nothing, whatever is in it. */
const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/**
 * A run's page. The same folder gives the same bytes.
 *
 * @param run What its folder holds
 */
export function page({ config, summary, records, pictures, texts, evaluation }: RunFolder): Markup {
  const text = (name: string) => typeof config[name] === "string" ? config[name] : "?";
  const title = `${text("model")} with ${text("adapter")} on ${text("data")}`;
  const body = [
    element("h1", {}, escaped(title)),
    element("p", {}, escaped(summary === undefined ? `${text("task")}; this run has not ended` : text("task"))),
    results(summary ?? {}, config),
    section("Curves", "charts", curves(records)),
    section(
      "Error distribution and calibration",
      "wide",
      evaluation === undefined ? [] : [calibrationChart([{ name: text("adapter"), metrics: evaluation }])],
    ),
    section("Pictures", "pictures", pictures.map(picture)),
    ...texts.map(told),
    table("Settings", rowsOf(config)),
  ];
  const head = [
    element("meta", { charset: "utf-8" }),
    element("meta", { "http-equiv": "Content-Security-Policy", content: POLICY }),
    element("meta", { name: "viewport", content: "width=device-width" }),
    element("meta", { name: "color-scheme", content: "light dark" }),
    element("title", {}, escaped(title)),
    element("style", {}, chartStyle, pageStyle),
  ];
  const html = element("html", { lang: "en" }, element("head", {}, ...head), element("body", {}, ...body));
  return `<!DOCTYPE html>\n${html.replaceAll(/(<\/(?:section|table|tr|svg|figure|head)>)/g, "$1\n")}\n`;
}
