/**
 * Rows by their numbers: looked up, and added up where numbers may come more than once.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import type { ValueId } from "../program.ts";
import { Binder, elementOf, type GpuKernel, overRange, widest } from "./kernel.ts";
import { fill } from "./move.ts";
import type { Lower, Lowering } from "./lowering.ts";

const gather: Lower = ({ inputs: [x, indices], attrs, outputs: [to] }, { types, rootOf, isHalf }) => {
  const { shape } = types[x];
  if (Number(attrs.batchDims ?? 0) !== 0 || types[x].dtype === "bool") return undefined;
  const axis = (Number(attrs.axis ?? 0) + shape.length) % shape.length;
  const [inner, count, length] = [sizeOf(shape.slice(axis + 1)), sizeOf(types[indices].shape), shape[axis]];
  return [widest((isWide): GpuKernel => {
    const across = inner / (isWide ? 4 : 1);
    const binder = new Binder(rootOf);
    const element = elementOf(types[x], isWide);
    const kept = isHalf(x) ? isWide ? "vec4<f16>" : "f16" : element;
    const [source, places] = [binder.read(x, kept), binder.read(indices, "i32")];
    const target = binder.write(to, element);
    const { head, groups } = overRange(sizeOf(types[to].shape) / (isWide ? 4 : 1));
    // As in tfjs, what is not there is 0.
    const body = `${head}  let at = ${places}[(i / ${across}u) % ${count}u];
  let outer = i / ${across * count}u;
  let isThere = at >= 0 && at < ${length};
  let found = ${element}(${source}[(outer * ${length}u + u32(select(0, at, isThere))) * ${across}u + i % ${across}u]);
  ${target}[i] = select(${element}(0), found, isThere);
}`;
    return { bindings: binder.bindings, params: [], groups, body };
  }, inner % 4 === 0)];
};

/** Rows that are added up in the order they come in, by the number that each goes to. */
interface Scattering {
  /** Numbers, [count, depth]. */
  readonly indices: ValueId;
  readonly depth: number;
  /** What a step along each of the axes that are numbered is worth. */
  readonly strides: readonly number[];
  /** [count, inner] */
  readonly updates: ValueId;
  readonly count: number;
  /** [rows, inner] */
  readonly to: ValueId;
  readonly rows: number;
  readonly inner: number;
}

/** A row's number in WGSL; -1 where one of its indices is not there. */
function rowOf(name: string, { depth, strides, rows }: Scattering, at: string): string {
  const terms = strides.map((stride, axis) => {
    const index = `${name}[${at}${depth === 1 ? "" : ` * ${depth}u + ${axis}u`}]`;
    return stride === 1 ? index : `${index} * ${stride}`;
  });
  return `  let row = ${terms.join(" + ")};\n  let isThere = row >= 0 && row < ${rows};`;
}

/**
 * Rows added up without atomic sums, whose order would differ: for each row that is written, how many go there and which is the
 * first are counted with whole numbers; the first then adds up all of them, in their order.
 */
function scatter(job: Scattering, lowering: Lowering): readonly GpuKernel[] {
  const { indices, updates, count, to, rows, inner } = job;
  const { types, rootOf, between } = lowering;
  const met = between({ shape: [2 * rows], dtype: "int32" });
  const counting = (): GpuKernel => {
    const binder = new Binder(rootOf);
    const [places, counts] = [binder.read(indices, "i32"), binder.write(met, "atomic<i32>")];
    const { head, groups } = overRange(count);
    const body = `${head}${rowOf(places, job, "i")}
  if (isThere) {
    atomicAdd(&${counts}[row], 1);
    atomicMax(&${counts}[${rows} + row], ${count} - i32(i));
  }
}`;
    return { bindings: binder.bindings, params: [], groups, body };
  };
  const adding = widest((isWide): GpuKernel => {
    const across = inner / (isWide ? 4 : 1);
    const binder = new Binder(rootOf);
    const element = elementOf(types[updates], isWide);
    const [places, counts] = [binder.read(indices, "i32"), binder.read(met, "i32")];
    const [source, target] = [binder.read(updates, element), binder.write(to, element)];
    const { head, groups } = overRange(count * across);
    const body = `${head}  let own = i / ${across}u;
  let column = i % ${across}u;
${rowOf(places, job, "own")}
  if (!isThere || ${counts}[${rows} + row] != ${count} - i32(own)) { return; }
  var sum = ${source}[i];
  var left = ${counts}[row] - 1;
  for (var next = own + 1u; left > 0 && next < ${count}u; next++) {
    if (same(row, next)) { sum += ${source}[next * ${across}u + column]; left--; }
  }
  ${target}[u32(row) * ${across}u + column] = sum;
}
fn same(wanted: i32, at: u32) -> bool {
${rowOf(places, job, "at")}
  return isThere && row == wanted;
}`;
    return { bindings: binder.bindings, params: [], groups, body };
  }, inner % 4 === 0);
  return [fill(met, 0, lowering), fill(to, 0, lowering), counting(), adding];
}

const scatterNd: Lower = ({ inputs: [indices, updates], outputs: [to] }, lowering) => {
  const { types } = lowering;
  if (types[updates].dtype !== "float32") return undefined;
  const { shape } = types[to];
  const places = types[indices].shape;
  const depth = places[places.length - 1];
  const numbered = shape.slice(0, depth);
  return scatter({
    indices,
    depth,
    strides: numbered.map((_, axis) => sizeOf(numbered.slice(axis + 1))),
    updates,
    count: sizeOf(places.slice(0, -1)),
    to,
    rows: sizeOf(numbered),
    inner: sizeOf(shape.slice(depth)),
  }, lowering);
};

const segments: Lower = ({ inputs: [x, ids], outputs: [to] }, lowering) => {
  const { types } = lowering;
  if (types[x].dtype !== "float32") return undefined;
  const [rows, ...rest] = types[to].shape;
  const count = sizeOf(types[ids].shape);
  return scatter({ indices: ids, depth: 1, strides: [1], updates: x, count, to, rows, inner: sizeOf(rest) }, lowering);
};

/** Kernels that read or write by number, by tfjs's kernels. */
export const indexing: Readonly<Record<string, Lower>> = {
  GatherV2: gather,
  ScatterNd: scatterNd,
  UnsortedSegmentSum: segments,
};
