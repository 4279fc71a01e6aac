/**
 * Sums, means and extremes over axes, always added up in the same order.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { sizeOf } from "../../tree.ts";
import type { ValueId } from "../program.ts";
import { Binder, elementOf, float, type GpuKernel, overRange } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";
import { rowsOf } from "./rows.ts";

/** What is made of numbers. */
type How = "sum" | "max" | "min";

/** Threads that keep a device busy. */
const BUSY = 4096;
/** Numbers that a thread adds up at least, where threads are few. */
const CHUNK = 32;

const START: Readonly<Record<How, string>> = { sum: "0", max: "-3.4028234663852886e38", min: "3.4028234663852886e38" };

function combined(how: How, sum: string, next: string): string {
  return how === "sum" ? `${sum} + ${next}` : `${how}(${sum}, ${next})`;
}

/** A reduction of the middle axis of [outer, length, inner]. */
interface Job {
  readonly from: ValueId;
  readonly to: ValueId;
  readonly how: How;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  /** Factor of the result. */
  readonly scale?: number;
}

/** Along columns: each thread takes one column, or four, or a stretch of it. */
function columns(job: Job, lowering: Lowering): readonly GpuKernel[] {
  const { from, to, how, outer, length, inner, scale } = job;
  const { types, rootOf, between } = lowering;
  const type = types[from];
  const width = inner % 4 === 0 ? 4 : 1;
  const threads = outer * inner / width;
  const parts = Math.min(Math.ceil(length / CHUNK), Math.max(1, Math.floor(BUSY / threads)));
  if (parts > 1) {
    const chunk = Math.ceil(length / parts);
    const count = Math.ceil(length / chunk);
    const partial = between({ shape: [outer, count, inner], dtype: type.dtype });
    return [
      part({ ...job, to: partial, scale: undefined }, lowering, chunk, count, width),
      ...columns({ from: partial, to, how, outer, length: count, inner, scale }, lowering),
    ];
  }
  return [part(job, lowering, length, 1, width)];

  function part(
    { from, to, scale }: Job,
    { types }: Lowering,
    chunk: number,
    count: number,
    width: number,
  ): GpuKernel {
    const binder = new Binder(rootOf);
    const element = elementOf(types[from], width === 4);
    const [source, target] = [binder.read(from, element), binder.write(to, element)];
    const { head, groups } = overRange(outer * count * inner / width);
    const across = inner / width;
    const isWhole = types[from].dtype !== "float32";
    const body = [
      `${head}  let column = i % ${across}u;`,
      `  let part = (i / ${across}u) % ${count}u;`,
      `  let start = (i / ${across * count}u) * ${length * across}u + column;`,
      `  var sum = ${element}(${START[how]});`,
      `  let end = min((part + 1u) * ${chunk}u, ${length}u);`,
      `  for (var j = part * ${chunk}u; j < end; j++) {`,
      `    sum = ${combined(how, "sum", `${source}[start + j * ${across}u]`)};`,
      "  }",
      `  ${target}[i] = sum${scale === undefined || isWhole ? "" : ` * ${float(scale)}`};`,
      "}",
    ].join("\n");
    return { bindings: binder.bindings, params: [], groups, body };
  }
}

/** Along rows: each is passed over by a thread or a group of them. */
function rows(job: Job, lowering: Lowering): readonly GpuKernel[] {
  const { from, to, how, outer, length, scale } = job;
  const { rootOf, target } = lowering;
  const { head, groups, code: { width, type, pass, joined, once } } = rowsOf(outer, length, target);
  const binder = new Binder(rootOf);
  const [source, result] = [binder.read(from, width === 4 ? "vec4<f32>" : "f32"), binder.write(to, "f32")];
  const body = [
    head,
    `  let start = row * ${length / width}u;`,
    `  var sum = ${type}(${START[how]});`,
    pass(`    sum = ${combined(how, "sum", `${source}[start + j]`)};`),
    joined("sum", how === "sum" ? "sum" : "max"),
    once(`  ${result}[row] = sum_all${scale === undefined ? "" : ` * ${float(scale)}`};`),
    "}",
  ].join("\n");
  return [{ bindings: binder.bindings, params: [], groups, body }];
}

/** The axes as [outer, length, inner], where those to reduce lie side by side. */
function bounds(shape: readonly number[], axes: readonly number[]): readonly [number, number, number] | undefined {
  // Axes of one number count as either.
  const kinds = shape.flatMap((length, axis) => length === 1 ? [] : [{ length, isReduced: axes.includes(axis) }]);
  const first = kinds.findIndex(({ isReduced }) => isReduced);
  if (first < 0) return [1, 1, sizeOf(shape)];
  const after = kinds.findIndex(({ isReduced }, i) => i > first && !isReduced);
  const end = after < 0 ? kinds.length : after;
  if (kinds.slice(end).some(({ isReduced }) => isReduced)) return undefined;
  const size = (from: number, to: number) => sizeOf(kinds.slice(from, to).map(({ length }) => length));
  return [size(0, first), size(first, end), size(end, kinds.length)];
}

function reduction(how: How, isMean = false): Lower {
  return ({ inputs: [x], attrs, outputs: [y] }, lowering) => {
    const { types, between } = lowering;
    const { shape, dtype } = types[x];
    if (dtype === "bool" || dtype !== types[y].dtype || (dtype !== "float32" && (isMean || how !== "sum"))) {
      return undefined;
    }
    const axes = tf.util.parseAxisParam((attrs.reductionIndices ?? attrs.axis) as number[], [...shape]);
    const found = bounds(shape, axes);
    if (found === undefined) {
      // The last of the axes that lie side by side first, then the others.
      const last = [...axes].sort((a, b) => b - a).filter((axis, i, all) =>
        i === 0 || all[i - 1] === axis + 1 || shape[axis] === 1
      );
      const rest = axes.filter((axis) => !last.includes(axis));
      if (isMean || rest.length === 0) return undefined;
      const partial = between({ shape: shape.map((length, axis) => last.includes(axis) ? 1 : length), dtype });
      const of = (axis: number[], from: ValueId, to: ValueId) =>
        reduction(how)(
          { kernel: "", attrs: { axis, keepDims: true }, inputs: [from], outputs: [to], region: 0 },
          lowering,
        );
      const [first, second] = [of(last, x, partial), of(rest, partial, y)];
      return first && second && [...first, ...second];
    }
    const [outer, length, inner] = found;
    const scale = isMean ? 1 / length : undefined;
    const job: Job = { from: x, to: y, how, outer, length, inner, scale };
    const isLong = outer * 4 < length;
    if (inner > 1 || dtype !== "float32" || how === "min") return columns(job, lowering);
    if (!isLong) return rows(job, lowering);
    // A few long rows: parts of them first, as many as keep the device busy.
    const parts = [256, 128, 64, 32, 16, 8, 4, 3, 2].find((each) => length % each === 0 && length / each >= CHUNK) ?? 1;
    if (parts === 1) return rows(job, lowering);
    const partial = between({ shape: [outer * parts], dtype });
    return [
      ...rows({ ...job, to: partial, outer: outer * parts, length: length / parts, scale: undefined }, lowering),
      ...rows({ ...job, from: partial, length: parts }, lowering),
    ];
  };
}

/** Reductions by tfjs's kernels. */
export const reductions: Readonly<Record<string, Lower>> = {
  Max: reduction("max"),
  Mean: reduction("sum", true),
  Min: reduction("min"),
  Sum: reduction("sum"),
};
