/**
 * Results as text.
 *
 * @module
 */
import type { ProfileResult, Results } from "./results.ts";
import type { EngineResult } from "./engines.ts";
import type { KernelShare } from "./profile.ts";
import type { ScalingResult } from "./scaling.ts";
import type { Spread } from "./statistics.ts";
import type { CaseResult } from "./steps.ts";

/** Rows in columns, the first one to the left and the others to the right; the first row is the head. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column] + 2)).join("")
  ).join("\n");
}

function time(seconds: number): string {
  const [value, unit] = seconds >= 1 ? [seconds, "s"] : seconds >= 1e-3 ? [seconds * 1e3, "ms"] : [seconds * 1e6, "us"];
  return `${value.toPrecision(3)} ${unit}`;
}

function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(0)} MB`;
}

/** A median with its range, where there is one to see. */
function ranged({ median, least, most }: Spread, show: (value: number) => string): string {
  return show(least) === show(most) ? show(median) : `${show(median)} (${show(least)} to ${show(most)})`;
}

const plainNumber = (digits: number) => (value: number) => value.toFixed(digits);

function engineText(engines: readonly EngineResult[]): string {
  const rows = engines.flatMap(({ name, precision, products, operationSeconds, gigabytes }) =>
    products.map(({ shape, gigaflops, share }, i) => [
      i === 0 ? `${name}, ${precision}` : "",
      shape.join(" x "),
      ranged(gigaflops, plainNumber(0)),
      `${Math.round(100 * share)}%`,
      i === 0 && operationSeconds !== undefined ? ranged(operationSeconds, time) : "",
      i === 0 && gigabytes !== undefined ? ranged(gigabytes, plainNumber(1)) : "",
    ])
  );
  return [
    "Engines. Peak is estimated by the fastest product of this run at the same precision.",
    table([["engine", "product", "GFLOP/s", "of peak", "an operation", "GB/s"], ...rows]),
  ].join("\n");
}

/** Our 1LoRA step against our BitFit step, where both were measured alike. */
function cost(results: readonly CaseResult[]): readonly string[] {
  const seconds = ({ measured }: CaseResult) => measured.find(({ name }) => name === "ours")?.seconds.median;
  return results.filter(({ method }) => method === "1lora").flatMap((one) => {
    const bitfit = results.find(({ method, batch, precision }) =>
      method === "bitfit" && batch === one.batch && precision === one.precision
    );
    const [ours, theirs] = [seconds(one), bitfit && seconds(bitfit)];
    if (ours === undefined || theirs === undefined) return [];
    const where = `batch ${one.batch}, ${one.precision}`;
    return [`our 1LoRA step / our BitFit step, ${where}: ${(ours / theirs).toFixed(2)}`];
  });
}

function caseText(title: string, results: readonly CaseResult[]): string {
  const engines = new Set(
    results.flatMap(({ measured }) => measured.map(({ name, engine }) => `${name}: ${engine}`)),
  );
  const rows = results.flatMap(({ model, method, batch, precision, measured, ratios, failed }) => [
    ...measured.map(({ name, seconds, bytes }) => {
      const ratio = ratios.find(({ to }) => to === name);
      return [
        name === measured[0].name ? `${model}, batch ${batch}, ${precision}, ${method}` : "",
        name,
        ranged(seconds, time),
        ratio === undefined ? "" : ranged(ratio.seconds, plainNumber(2)),
        ranged(bytes, size),
        ratio === undefined ? "" : ranged(ratio.bytes, plainNumber(2)),
        ratio?.lossDifference === undefined ? "" : ratio.lossDifference.toExponential(0),
      ];
    }),
    ...Object.entries(failed).map(([name, why]) => ["", name, `failed: ${why}`, "", "", "", ""]),
  ]);
  return [
    `${title}. Ratios are ours / theirs; memory is the process's peak without the loaded framework.`,
    ...engines,
    table([["step", "", "time", "ratio", "memory", "ratio", "losses differ by"], ...rows]),
    ...cost(results),
  ].join("\n");
}

function scalingText(results: readonly ScalingResult[]): string {
  const rows = results.map(({ axis, value, seconds, bytes, productFlops }) => [
    `${axis} ${value}`,
    ranged(seconds, time),
    ranged(bytes, size),
    `${(productFlops / 1e9).toPrecision(3)}`,
    `${(productFlops / 1e9 / seconds.median).toFixed(0)}`,
  ]);
  return ["Scaling of our step.", table([["", "time", "memory", "GFLOP", "GFLOP/s"], ...rows])].join("\n");
}

/** Kernels added up by what limits them. */
function byKind(kernels: readonly KernelShare[]): readonly KernelShare[] {
  const kinds = [...new Set(kernels.map(({ kind }) => kind))];
  const sum = (of: readonly KernelShare[], field: "calls" | "seconds" | "flops" | "bytes") =>
    of.reduce((total, each) => total + each[field], 0);
  return kinds.map((kind) => {
    const own = kernels.filter((each) => each.kind === kind);
    const [calls, seconds] = [sum(own, "calls"), sum(own, "seconds")];
    return { kernel: kind, kind, calls, seconds, flops: sum(own, "flops"), bytes: sum(own, "bytes") };
  }).sort((a, b) => b.seconds - a.seconds);
}

function profileText({ model, method, batch, precision, engine, seconds, kernels }: ProfileResult): string {
  const inKernels = kernels.reduce((sum, each) => sum + each.seconds, 0);
  const row = ({ kernel, calls, seconds: own, flops, bytes }: KernelShare, indent: string) => [
    `${indent}${kernel}`,
    `${calls}`,
    time(own),
    `${(100 * own / seconds).toFixed(1)}%`,
    flops === 0 ? "" : (flops / own / 1e9).toFixed(0),
    bytes === 0 ? "" : (bytes / own / 1e9).toFixed(1),
  ];
  // The step is timed in another run than its kernels, which may have been slower.
  const between = Math.max(0, seconds - inKernels);
  return [
    `Profile of ${model}, batch ${batch}, ${method}, ${precision}, kernel by kernel: ${engine}.`,
    table([
      ["kernels", "calls", "time", "of step", "GFLOP/s", "GB/s"],
      ...byKind(kernels).flatMap((kind) => [
        row(kind, ""),
        ...kernels.filter((each) => each.kind === kind.kind && each.seconds > 0.005 * seconds)
          .map((each) => row(each, "  ")),
      ]),
      ["between kernels", "", time(between), `${(100 * between / seconds).toFixed(1)}%`, "", ""],
    ]),
  ].join("\n");
}

/**
 * All results in tables.
 *
 * @param results The results
 */
export function inWords({ engine, peers, families, micro, wasm, webgpu, scaling, profile }: Results): string {
  return [
    ...(engine === undefined ? [] : [engineText(engine)]),
    ...(peers === undefined ? [] : [caseText("Training steps beside PyTorch", peers)]),
    ...(families === undefined ? [] : [caseText("Models of every family beside PyTorch", families)]),
    ...(micro === undefined ? [] : [caseText("The models that ship on wasm and on tensorflow", micro)]),
    ...(wasm === undefined ? [] : [caseText("Training steps in WebAssembly", wasm)]),
    ...(webgpu === undefined ? [] : [caseText("Training steps through WebGPU", webgpu)]),
    ...(scaling === undefined ? [] : [scalingText(scaling)]),
    ...(profile ?? []).map(profileText),
  ].join("\n\n");
}
