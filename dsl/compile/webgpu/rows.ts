/**
 * Kernels whose threads, one or a group, each pass over a row: softmax and layer norm, and their gradients.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import type { Call } from "../program.ts";
import { Binder, float, type GpuKernel, MOST_GROUPS, overRange, type Target } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";

const LEAST = "-3.4028234663852886e38f";

/** How a row's numbers are gone through, and how what threads have found is put together. */
export interface RowCode {
  /** Numbers at a time. */
  readonly width: number;
  /** Their type. */
  readonly type: string;
  /** A pass over the row: `code` for the place `j`. */
  readonly pass: (code: string) => string;
  /** Puts together what each thread has in a variable, which all then have as a number. */
  readonly joined: (name: string, how: "sum" | "max") => string;
  /** Code for one thread alone. */
  readonly once: (code: string) => string;
}

/** Kernel with rows spread over threads. */
export interface RowKernel extends Pick<GpuKernel, "groups"> {
  /** What comes before the code; `row` is the row's number. */
  readonly head: string;
  /** What the code is made of. */
  readonly code: RowCode;
}

/**
 * The frame of a kernel of rows.
 *
 * @param rows Rows
 * @param length Numbers in each
 * @param target What it is for: threads of a row at most, and how they add up what they have
 */
export function rowsOf(rows: number, length: number, { lanes: most, subgroups = false }: Target): RowKernel {
  const width = length % 4 === 0 ? 4 : 1;
  const steps = length / width;
  // Threads of a short row would wait for each other.
  const lanes = steps >= most ? most : 1;
  const type = width === 4 ? "vec4<f32>" : "f32";
  const within = (name: string, how: "sum" | "max") => {
    if (width === 1) return name;
    const [x, y, z, w] = ["x", "y", "z", "w"].map((part) => `${name}.${part}`);
    return how === "sum" ? `(${x} + ${y}) + (${z} + ${w})` : `max(max(${x}, ${y}), max(${z}, ${w}))`;
  };
  const common = { width, type };
  if (lanes === 1) {
    const { head, groups } = overRange(rows);
    return {
      groups,
      head: `${head}  let row = i;`,
      code: {
        ...common,
        pass: (code) => `  for (var j = 0u; j < ${steps}u; j++) {\n${code}\n  }`,
        joined: (name, how) => `  let ${name}_all = ${within(name, how)};`,
        once: (code) => code,
      },
    };
  }
  const [x, y] = rows <= MOST_GROUPS ? [rows, 1] : [32768, Math.ceil(rows / 32768)];
  const tree = (how: "sum" | "max") => {
    const both = how === "sum" ? "shared_[lane] + shared_[lane + half]" : "max(shared_[lane], shared_[lane + half])";
    return `  for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { shared_[lane] = ${both}; }
  }
  workgroupBarrier();`;
  };
  // Which threads are a subgroup is the device's choice: each subgroup leaves its sum at the place of one of its threads, and
  // adds up all places.
  const bySubgroups = (name: string, how: "sum" | "max") => {
    const [whole, none] = how === "sum" ? ["subgroupAdd", "0f"] : ["subgroupMax", LEAST];
    const both = how === "sum" ? `${name}_found + shared_[at]` : `max(${name}_found, shared_[at])`;
    return `  let ${name}_part = ${whole}(${within(name, how)});
  workgroupBarrier();
  shared_[lane] = select(${none}, ${name}_part, place == 0u);
  workgroupBarrier();
  var ${name}_found = ${none};
  for (var at = place; at < ${lanes}u; at += size) { ${name}_found = ${both}; }
  let ${name}_all = ${whole}(${name}_found);`;
  };
  const builtins = subgroups ? ", @builtin(subgroup_invocation_id) place: u32, @builtin(subgroup_size) size: u32" : "";
  return {
    groups: [x, y, 1],
    head: `var<workgroup> shared_: array<f32, ${lanes}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) g: vec3<u32>, @builtin(local_invocation_id) l: vec3<u32>${builtins}) {
  let lane = l.x;
  let row = ${y === 1 ? "g.x" : `g.y * ${x}u + g.x`};${y === 1 ? "" : `\n  if (row >= ${rows}u) { return; }`}`,
    code: {
      ...common,
      pass: (code) => `  for (var j = lane; j < ${steps}u; j += ${lanes}u) {\n${code}\n  }`,
      joined: subgroups ? bySubgroups : (name, how) =>
        `  workgroupBarrier();
  shared_[lane] = ${within(name, how)};
${tree(how)}
  let ${name}_all = workgroupUniformLoad(&shared_[0]);`,
      once: (code) => `  if (lane == 0u) {\n${code}\n  }`,
    },
  };
}

/** Rows of a shape, and the numbers in each. */
function split(shape: readonly number[]): readonly [rows: number, length: number] {
  const length = shape[shape.length - 1];
  return [sizeOf(shape) / length, length];
}

/** softmax over rows of x, or of x and a mask. */
function softmax({ inputs, outputs: [output] }: Call, { types, rootOf, target }: Lowering): GpuKernel {
  const [x, mask] = inputs;
  const { shape } = types[x];
  const [rows, length] = split(shape);
  const { head, groups, code: { width, type, pass, joined } } = rowsOf(rows, length, target);
  const binder = new Binder(rootOf);
  const element = width === 4 ? "vec4<f32>" : "f32";
  const [from, to] = [binder.read(x, element), binder.write(output, element)];
  const steps = length / width;
  const lines = [head, `  let start = row * ${steps}u;`];
  let read = `${from}[start + j]`;
  if (mask !== undefined) {
    const [, heads, queries] = shape;
    const [batches, , seen] = types[mask].shape;
    const name = binder.read(mask, element);
    const terms = [
      ...batches > 1 ? [`(row / ${heads * queries}u) * ${seen * steps}u`] : [],
      ...seen > 1 ? [`(row % ${queries}u) * ${steps}u`] : [],
    ];
    lines.push(`  let seen = ${terms.join(" + ") || "0u"};`);
    read += ` + ${name}[seen + j]`;
  }
  lines.push(
    `  var most = ${type}(${LEAST});`,
    pass(`    most = max(most, ${read});`),
    joined("most", "max"),
    `  var total = ${type}(0);`,
    pass(`    let e = exp(${read} - most_all); total += e; ${to}[start + j] = e;`),
    joined("total", "sum"),
    `  let share = 1f / total_all;`,
    pass(`    ${to}[start + j] *= share;`),
    "}",
  );
  return { bindings: binder.bindings, params: [], groups, body: lines.join("\n") };
}

/** dx = y (dy - rowsum(y dy)). */
const softmaxGradient: Lower = ({ inputs: [dy, y], outputs: [dx] }, { types, rootOf, target }) => {
  const [rows, length] = split(types[y].shape);
  const { head, groups, code: { width, type, pass, joined } } = rowsOf(rows, length, target);
  const binder = new Binder(rootOf);
  const element = width === 4 ? "vec4<f32>" : "f32";
  const [gradient, value, to] = [binder.read(dy, element), binder.read(y, element), binder.write(dx, element)];
  const body = [
    head,
    `  let start = row * ${length / width}u;`,
    `  var total = ${type}(0);`,
    pass(`    total += ${gradient}[start + j] * ${value}[start + j];`),
    joined("total", "sum"),
    pass(`    ${to}[start + j] = ${value}[start + j] * (${gradient}[start + j] - total_all);`),
    "}",
  ].join("\n");
  return [{ bindings: binder.bindings, params: [], groups, body }];
};

const standardise: Lower = ({ inputs: [x], attrs, outputs: [y, scale] }, { types, rootOf, target }) => {
  const [rows, length] = split(types[x].shape);
  const { head, groups, code: { width, type, pass, joined, once } } = rowsOf(rows, length, target);
  const binder = new Binder(rootOf);
  const element = width === 4 ? "vec4<f32>" : "f32";
  const [from, to, scales] = [binder.read(x, element), binder.write(y, element), binder.write(scale, "f32")];
  const mean = attrs.centred
    ? [
      `  var sum = ${type}(0);`,
      pass(`    sum += ${from}[start + j];`),
      joined("sum", "sum"),
      `  let mean = sum_all / ${float(length)};`,
    ]
    : [`  let mean = 0f;`];
  const body = [
    head,
    `  let start = row * ${length / width}u;`,
    ...mean,
    `  var squares = ${type}(0);`,
    pass(`    let d = ${from}[start + j] - mean; squares += d * d;`),
    joined("squares", "sum"),
    `  let factor = 1f / sqrt(squares_all / ${float(length)} + ${float(Number(attrs.epsilon))});`,
    once(`    ${scales}[row] = factor;`),
    pass(`    ${to}[start + j] = (${from}[start + j] - mean) * factor;`),
    "}",
  ].join("\n");
  return [{ bindings: binder.bindings, params: [], groups, body }];
};

const standardiseGradient: Lower = ({ inputs: [dy, y, scale], attrs, outputs: [dx] }, { types, rootOf, target }) => {
  const [rows, length] = split(types[y].shape);
  const { head, groups, code: { width, type, pass, joined } } = rowsOf(rows, length, target);
  const binder = new Binder(rootOf);
  const element = width === 4 ? "vec4<f32>" : "f32";
  const [gradient, value] = [dy, y].map((each) => binder.read(each, element));
  const [scales, to] = [binder.read(scale, "f32"), binder.write(dx, element)];
  const body = [
    head,
    `  let start = row * ${length / width}u;`,
    `  var along = ${type}(0);`,
    ...attrs.centred ? [`  var sum = ${type}(0);`] : [],
    pass(
      `    let d = ${gradient}[start + j]; along += d * ${value}[start + j];${attrs.centred ? " sum += d;" : ""}`,
    ),
    joined("along", "sum"),
    ...attrs.centred ? [joined("sum", "sum")] : [],
    `  let factor = ${scales}[row];`,
    `  let slope = along_all / ${float(length)};`,
    `  let mean = ${attrs.centred ? `sum_all / ${float(length)}` : "0f"};`,
    pass(`    ${to}[start + j] = (${gradient}[start + j] - mean - ${value}[start + j] * slope) * factor;`),
    "}",
  ].join("\n");
  return [{ bindings: binder.bindings, params: [], groups, body }];
};

/** Kernels of rows, by the kernels of tfjs's or ours that they do the work of. */
export const rowKernels: Readonly<Record<string, Lower>> = {
  MaskedSoftmax: (call, lowering) => [softmax(call, lowering)],
  Softmax: (call, lowering) => {
    const { shape } = lowering.types[call.inputs[0]];
    const axis = Number(call.attrs.dim ?? -1);
    return axis === -1 || axis === shape.length - 1 ? [softmax(call, lowering)] : undefined;
  },
  SoftmaxGrad: softmaxGradient,
  Standardise: standardise,
  StandardiseGrad: standardiseGradient,
};
