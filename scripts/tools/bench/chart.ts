/**
 * Results as a Vega-Lite specification.
 *
 * @module
 */
import type { Results } from "./results.ts";
import type { CaseResult } from "./steps.ts";

type Spec = Readonly<Record<string, unknown>>;

/** The name of a row of panels, written level. */
const rowHeader: Spec = { labelAngle: 0, labelAlign: "left" };

/** Ratios to PyTorch as points with their range, a line where both are equal. */
function ratioCharts(results: readonly CaseResult[]): readonly Spec[] {
  const values = results.flatMap(({ model, method, batch, precision, ratios }) =>
    ratios.flatMap(({ to, seconds, bytes }) =>
      ([["step time", seconds], ["peak memory", bytes]] as const).map(([what, { median, least, most }]) => ({
        ...{ model, method, what, median, least, most },
        batch: `batch ${batch}`,
        against: `${precision}, ${to}`,
      }))
    )
  );
  if (values.length === 0) return [];
  const [{ model }] = values;
  const y = { field: "method", type: "nominal", title: null, sort: null };
  const colour = { field: "against", type: "nominal", sort: null };
  const offset = { field: "against", sort: null };
  return [{
    title: `${model}: one training step, ours / theirs`,
    data: { values },
    facet: {
      column: { field: "batch", title: null, sort: null },
      row: { field: "what", title: null, sort: null, header: rowHeader },
    },
    spec: {
      width: 260,
      layer: [
        {
          mark: { type: "bar", height: { band: 0.8 } },
          encoding: {
            x: { field: "median", type: "quantitative", title: "ratio" },
            y,
            yOffset: offset,
            color: colour,
          },
        },
        {
          mark: { type: "rule" },
          encoding: { x: { field: "least", type: "quantitative" }, x2: { field: "most" }, y, yOffset: offset },
        },
        { mark: { type: "rule", strokeDash: [4, 3] }, encoding: { x: { datum: 1 } } },
      ],
    },
  }];
}

/** Seconds of a step for each contender. */
function timeCharts(results: readonly CaseResult[]): readonly Spec[] {
  const values = results.flatMap(({ model, method, batch, measured }) =>
    measured.map(({ name, seconds: { median, least, most } }) => ({
      ...{ name, median, least, most },
      what: `${model}, batch ${batch}, ${method}`,
    }))
  );
  const y = { field: "name", type: "nominal", title: null, sort: null };
  return [{
    title: "One training step in WebAssembly",
    data: { values },
    facet: { row: { field: "what", title: null, sort: null, header: rowHeader } },
    spec: {
      width: 400,
      layer: [
        { mark: "bar", encoding: { x: { field: "median", type: "quantitative", title: "seconds" }, y } },
        {
          mark: "rule",
          encoding: { x: { field: "least", type: "quantitative" }, x2: { field: "most" }, y },
        },
      ],
    },
  }];
}

/** Speed of products by engine. */
function engineChart(results: NonNullable<Results["engine"]>): Spec {
  const values = results.flatMap(({ name, precision, products }) =>
    products.map(({ shape, gigaflops: { median } }) => ({ name, precision, median, shape: shape.join(" x ") }))
  );
  return {
    title: "Matrix products",
    data: { values },
    facet: { row: { field: "shape", title: null, sort: null, header: rowHeader } },
    spec: {
      width: 400,
      mark: "bar",
      encoding: {
        x: { field: "median", type: "quantitative", title: "GFLOP/s" },
        y: { field: "name", type: "nominal", title: null, sort: null },
        yOffset: { field: "precision", sort: null },
        color: { field: "precision", type: "nominal", sort: null },
      },
    },
    resolve: { scale: { y: "independent" } },
  };
}

/** Time and memory against each axis, both logarithmic. */
function scalingChart(results: NonNullable<Results["scaling"]>): Spec {
  const panel = (what: string, unit: string, of: (each: typeof results[number]) => number): Spec => ({
    hconcat: (["batch", "depth", "width"] as const).map((axis) => {
      const own = results.filter((each) => each.axis === axis).map((each) => ({ x: each.value, y: of(each) }));
      return {
        title: `${what} against ${axis}`,
        width: 200,
        data: { values: own },
        mark: { type: "line", point: true },
        encoding: {
          x: {
            field: "x",
            type: "quantitative",
            scale: { type: "log", nice: false },
            title: axis,
            axis: { values: own.map(({ x }) => x) },
          },
          y: { field: "y", type: "quantitative", scale: { type: "log" }, title: unit, axis: { tickCount: 4 } },
        },
      };
    }),
  });
  return {
    vconcat: [
      panel("time", "seconds", ({ seconds }) => seconds.median),
      panel("memory", "MB", ({ bytes }) => bytes.median / 1e6),
    ],
  };
}

/**
 * The chart of all parts that were measured.
 *
 * @param results The results
 */
export function chartOf({ engine, peers, wasm, scaling }: Results): Spec {
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    vconcat: [
      ...(engine === undefined ? [] : [engineChart(engine)]),
      ...(peers === undefined ? [] : ratioCharts(peers)),
      ...(wasm === undefined ? [] : timeCharts(wasm)),
      ...(scaling === undefined ? [] : [scalingChart(scaling)]),
    ],
    resolve: { scale: { color: "independent" } },
  };
}
