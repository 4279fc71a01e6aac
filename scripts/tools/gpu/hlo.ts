/**
 * Reads what XLA has made of a step, as it dumps it: the kernels, what each reads and writes, and what it multiplies.
 *
 * @module
 */
import { sizeOf } from "../../../dsl/tree.ts";

/** A tensor's element type and axes. */
interface Shape {
  readonly type: string;
  readonly dims: readonly number[];
}

/** An instruction of a computation. */
interface Instruction {
  readonly name: string;
  /** What it returns: several where it returns a tuple. */
  readonly shapes: readonly Shape[];
  readonly op: string;
  readonly operands: readonly string[];
  /** What stands for its operands: the number of a parameter. */
  readonly given: string;
  /** All after that. */
  readonly attributes: string;
}

/** A computation by the names of its instructions, in order. */
type Computation = ReadonlyMap<string, Instruction>;

/** What a kernel does, above all. */
export type KernelKind = "products" | "reductions" | "elementwise" | "layout" | "conversions" | "other";

/** A kernel of a compiled step. */
export interface Kernel {
  /** Its name. */
  readonly name: string;
  /** See {@linkcode KernelKind}. */
  readonly kind: KernelKind;
  /** Bytes that it reads and writes at least. */
  readonly bytes: number;
  /** Floating-point operations of its products, and the element type that it multiplies. */
  readonly flops: number;
  readonly type: string;
  /** What it makes of what by which operations: equal for equal kernels. */
  readonly text: string;
}

const BYTES: Readonly<Record<string, number>> = { f64: 8, s64: 8, u64: 8, f32: 4, s32: 4, u32: 4, bf16: 2, f16: 2 };

function bytesOf(shapes: readonly Shape[]): number {
  return shapes.reduce((sum, { type, dims }) => sum + sizeOf(dims) * (BYTES[type] ?? 1), 0);
}

/** Shapes in a text; tokens have none. */
function shapesIn(text: string): readonly Shape[] {
  return Array.from(text.matchAll(/\b([a-z]+\d+|pred)(?:e\dm\d\w*)?\[([\d,]*)\]/g), ([, type, dims]) => ({
    type,
    dims: dims === "" ? [] : dims.split(",").map(Number),
  }));
}

/** The text up to the parenthesis that closes the one before it, and all after. */
function enclosed(text: string): readonly [string, string] {
  let depth = 1;
  for (let i = 0; i < text.length; i++) {
    depth += text[i] === "(" ? 1 : text[i] === ")" ? -1 : 0;
    if (depth === 0) return [text.slice(0, i), text.slice(i + 1)];
  }
  return [text, ""];
}

function instructionOf(line: string): Instruction | undefined {
  const start = /^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$/.exec(line);
  if (start === null) return undefined;
  const [type, rest] = start[2].startsWith("(")
    ? enclosed(start[2].slice(1))
    : [start[2].split(" ", 1)[0], start[2].slice(start[2].indexOf(" "))];
  const called = /^\s*([\w\-]+)\((.*)$/.exec(rest);
  if (called === null) return undefined;
  const [given, attributes] = enclosed(called[2]);
  const operands = Array.from(given.matchAll(/%([\w.\-]+)/g), ([, name]) => name);
  return { name: start[1], shapes: shapesIn(type), op: called[1], operands, given, attributes };
}

/** Computations by name, and the name of the one that is run. */
function computationsOf(text: string): readonly [ReadonlyMap<string, Computation>, string] {
  const found = new Map<string, Map<string, Instruction>>();
  let [entry, name] = ["", ""];
  for (const line of text.split("\n")) {
    const head = /^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$/.exec(line);
    if (head !== null) {
      name = head[2];
      found.set(name, new Map());
      if (head[1] !== undefined) entry = name;
    }
    const made = head === null ? instructionOf(line) : undefined;
    if (made !== undefined) found.get(name)?.set(made.name, made);
  }
  return [found, entry];
}

/** Numbers of an attribute such as `lhs_contracting_dims={1}` or `"lhs_contracting_dimensions":["1"]`. */
function numbersOf(attributes: string, name: string): readonly number[] {
  const found = new RegExp(`${name}"?[=:][[{]([^\\]}]*)[\\]}]`).exec(attributes);
  return Array.from(found?.[1].matchAll(/\d+/g) ?? [], ([each]) => Number(each));
}

/** Multiplications and additions of a product or convolution; none for other instructions. */
function flopsOf({ op, shapes: [output], operands, attributes }: Instruction, within: Computation): number {
  const [left, right] = operands.map((name) => within.get(name)?.shapes[0]);
  const target = /custom_call_target="([^"]*)"/.exec(attributes)?.[1] ?? "";
  if (op === "dot" || target.startsWith("__cublas")) {
    const dims = [
      ...numbersOf(attributes, "lhs_contracting_dims"),
      ...numbersOf(attributes, "lhs_contracting_dimensions"),
    ];
    return 2 * sizeOf(output.dims) * dims.reduce((product, axis) => product * (left?.dims[axis] ?? 1), 1);
  }
  if (op === "convolution" || target.startsWith("__cudnn$conv")) {
    const axis = /dim_labels=\w+_(\w+)->/.exec(attributes)?.[1].indexOf("o") ?? 0;
    return 2 * sizeOf(output.dims) * sizeOf(right?.dims ?? []) / (right?.dims[axis] ?? 1);
  }
  return 0;
}

/** What is given without a kernel. */
const FREE: ReadonlySet<string> = new Set(
  "parameter get-tuple-element bitcast tuple constant iota after-all opt-barrier".split(" "),
);
/** What lays out anew. */
const MOVING: ReadonlySet<string> = new Set(
  "broadcast concatenate copy dynamic-slice dynamic-update-slice gather pad reshape reverse slice transpose".split(" "),
);
const REDUCING: ReadonlySet<string> = new Set(["reduce", "reduce-window"]);
/** What reads as much as it returns, of its first operand. */
const SLICING: ReadonlySet<string> = new Set(["slice", "dynamic-slice", "gather"]);
/** What returns as many numbers as it reads, each read once. */
const KEEPING: ReadonlySet<string> = new Set(["bitcast", "convert", "copy", "reshape", "transpose"]);

/** The share of a value that instructions read, 1 where they read all of it. */
function shareRead(value: string, body: readonly Instruction[]): number {
  const readers = body.filter(({ operands }) => operands.includes(value));
  const whole = body.find(({ name }) => name === value)!;
  const shares = readers.map(({ name, op, operands: [of], shapes: [shape] }) => {
    if (of !== value) return 1;
    if (SLICING.has(op)) return sizeOf(shape.dims) / sizeOf(whole.shapes[0].dims);
    return KEEPING.has(op) ? shareRead(name, body) : 1;
  });
  return shares.length === 0 ? 1 : Math.min(1, shares.reduce((sum, share) => sum + share, 0));
}

function kindOf(ops: ReadonlySet<string>, flops: number, isFusion: boolean): KernelKind {
  if (flops > 0) return "products";
  const all = [...ops];
  if (all.some((op) => REDUCING.has(op))) return "reductions";
  if (all.every((op) => FREE.has(op) || op === "convert")) return "conversions";
  if (all.every((op) => FREE.has(op) || op === "convert" || MOVING.has(op))) return "layout";
  return isFusion ? "elementwise" : "other";
}

/**
 * The kernels of a compiled step, in order.
 *
 * @param text What XLA dumps after its optimisations
 */
export function kernelsOf(text: string): readonly Kernel[] {
  const [computations, entry] = computationsOf(text);
  const main = computations.get(entry) ?? new Map<string, Instruction>();
  /** The instructions of a kernel, each with the computation that it is in. */
  const bodyOf = (from: Instruction, within: Computation, seen: Set<string>): readonly [Instruction, Computation][] => {
    const own = /calls=%?([\w.\-]+)/.exec(from.attributes)?.[1];
    const body = own === undefined || seen.has(own) ? undefined : computations.get(own);
    if (body === undefined) return [[from, within]];
    seen.add(own!);
    return [...body.values()].flatMap((each) => bodyOf(each, body, seen));
  };
  /** Bytes that a fusion reads of each operand. */
  const readBy = ({ attributes, operands }: Instruction): readonly number[] => {
    const own = computations.get(/calls=%?([\w.\-]+)/.exec(attributes)?.[1] ?? "");
    const inside = [...own?.values() ?? []];
    return operands.map((name, i) => {
      const all = bytesOf(main.get(name)?.shapes ?? []);
      const value = inside.find(({ op, given }) => op === "parameter" && given === `${i}`)?.name;
      return value === undefined ? all : Math.min(all, all * shareRead(value, inside));
    });
  };
  return [...main.values()].filter(({ op }) => !FREE.has(op)).map((kernel): Kernel => {
    const body = bodyOf(kernel, main, new Set());
    const products = body.map(([each, within]) => [each, flopsOf(each, within), within] as const).filter(([, flops]) =>
      flops > 0
    );
    const flops = products.reduce((sum, [, each]) => sum + each, 0);
    const [first] = products;
    const type = first === undefined ? "" : first[2].get(first[0].operands[0])?.shapes[0]?.type ?? "";
    const read = readBy(kernel);
    const counted = [...new Set(kernel.operands)].reduce((sum, name) => sum + read[kernel.operands.indexOf(name)], 0);
    const ops = new Set(body.map(([{ op }]) => op).filter((op) => !FREE.has(op) || op === kernel.op));
    const shown = (shapes: readonly Shape[]) => shapes.map(({ type, dims }) => `${type}[${dims}]`).join(" ");
    const given = kernel.operands.flatMap((name) => main.get(name)?.shapes ?? []).filter(({ dims }) =>
      sizeOf(dims) >= 2 ** 15
    );
    return {
      name: kernel.name,
      kind: kindOf(ops, flops, kernel.op === "fusion"),
      bytes: bytesOf(kernel.shapes) + counted,
      flops,
      type,
      text: `${shown(kernel.shapes)} <- ${shown(given)}: ${
        [...ops].filter((op) => op !== "broadcast").sort().join(" ")
      }`,
    };
  });
}
