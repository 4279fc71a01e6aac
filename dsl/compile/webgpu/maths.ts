/**
 * Functions of numbers in WGSL, for one number or four at a time.
 *
 * @module
 */
import type { FormulaStep } from "../formula.ts";
import { float } from "./kernel.ts";

/** Which functions of below some code calls; each is written once for the type it is called with. */
export type Uses = Set<Helper>;

/** A function that WGSL lacks. */
export type Helper = keyof typeof HELPERS;

/** Coefficients of e^(x²) erfc(x) as a quotient, 0 <= x < 10, highest first; from scripts/tools/reference/polynomials.py. */
const ABOVE = [0.0321571231, 0.226163521, 0.725182593, 1.2322644, 1];
const BELOW = [0.056996204, 0.400893956, 1.31338298, 2.38887596, 2.3606441, 1];
/** Coefficients of (e^r - 1 - r) / r² for |r| <= ln(2) / 2, highest first. */
const EXPM1 = [0.0013940658, 0.00836639572, 0.0416664034, 0.16666545, 0.5];

function horner(x: string, coefficients: readonly number[]): string {
  return coefficients.slice(1).reduce(
    (sum, next) => `fma(${sum}, ${x}, T(${float(next)}))`,
    `T(${float(coefficients[0])})`,
  );
}

/** Coefficients of erf(x) / x - 1 in x² for |x| < 1/2, highest first. */
const ERF = [0.00471916003, -0.0267582592, 0.112828508, -0.376126111, 0.128379166];

const HELPERS = {
  // Φ(x) from g = e^(-x²/2): erfc(|x|/√2) / 2 or one minus it.
  normal: `fn normal(x: T, g: T) -> T {
  let z = min(abs(x) * 0.70710678f, T(10f));
  let tail = 0.5f * g * (${horner("z", ABOVE)}) / (${horner("z", BELOW)});
  return select(1f - tail, tail, x < T(0f));
}`,
  erf_: `fn erf_(x: T) -> T {
  let small = x + x * (${horner("(x * x)", ERF)});
  let y = x * 1.41421356f;
  return select(2f * normal(y, exp(-x * x)) - 1f, small, abs(x) < T(0.5f));
}`,
  gelu: `fn gelu(x: T) -> T { return x * normal(x, exp(-0.5f * x * x)); }`,
  geluSlope: `fn geluSlope(dy: T, x: T) -> T {
  let g = exp(-0.5f * x * x);
  return dy * fma(x * 0.39894228f, g, normal(x, g));
}`,
  sigmoid: `fn sigmoid(x: T) -> T {
  let e = exp(-abs(x));
  return select(T(1f), e, x < T(0f)) / (1f + e);
}`,
  geluTanh: `fn geluTanh(x: T) -> T { return x * sigmoid(x * fma(x * x, T(0.0713548163f), T(1.59576912f))); }`,
  geluTanhSlope: `fn geluTanhSlope(dy: T, x: T) -> T {
  let square = x * x;
  let inner = x * fma(square, T(0.0713548163f), T(1.59576912f));
  let e = exp(-abs(inner));
  let above = 1f / (1f + e);
  let below = e * above;
  let s = select(above, below, inner < T(0f));
  let steepness = x * fma(square, T(0.214064449f), T(1.59576912f));
  return dy * fma(steepness, below * above, s);
}`,
  expm1: `fn expm1(x: T) -> T {
  let r = clamp(x, T(-0.35f), T(0.35f));
  let small = fma(r * r, ${horner("r", EXPM1)}, r);
  return select(exp(x) - 1f, small, abs(x) < T(0.35f));
}`,
  log1p: `fn log1p(x: T) -> T {
  let u = 1f + x;
  let d = u - 1f;
  return select(log(u) * (x / select(d, T(1f), d == T(0f))), x, d == T(0f));
}`,
  // e^2x - 1 over itself plus 2 keeps its digits near 0.
  tanh_: `fn tanh_(x: T) -> T {
  let e = expm1(-2f * abs(x));
  let t = -e / (e + 2f);
  return select(t, -t, x < T(0f));
}`,
} as const;

const NEEDS: Readonly<Partial<Record<Helper, readonly Helper[]>>> = {
  erf_: ["normal"],
  gelu: ["normal"],
  geluSlope: ["normal"],
  geluTanh: ["sigmoid"],
  tanh_: ["expm1"],
};

/**
 * The functions that some code calls, for its type.
 *
 * @param uses Their names
 * @param type The type that stands for `T`
 */
export function helpersOf(uses: Uses, type: string): string {
  const all = new Set([...uses].flatMap((name) => [...(NEEDS[name] ?? []), name]));
  return (Object.keys(HELPERS) as Helper[]).filter((name) => all.has(name))
    .map((name) => HELPERS[name].replace(/\bT\b/g, type)).join("\n");
}

/**
 * An operation in WGSL.
 *
 * @param step The operation
 * @param args Its arguments in WGSL
 * @param type Type of numbers
 * @param uses Gets the functions that it calls
 */
export function operation(
  { op, settings = [] }: FormulaStep,
  args: readonly string[],
  type: string,
  uses: Uses,
): string {
  const [x, y, z] = args;
  const isWhole = type.includes("i32");
  // JSON has infinity by its name only.
  const number = (value: number) =>
    isWhole ? `${type}(${Math.round(Number(value))})` : `${type}(${float(Number(value))})`;
  const called = (name: Helper, ...given: readonly string[]) => {
    uses.add(name);
    return `${name}(${given.join(", ")})`;
  };
  switch (op) {
    case "abs":
    case "exp":
    case "log":
      return `${op}(${x})`;
    case "add":
      return `${x} + ${y}`;
    case "and":
      return `${x} & ${y}`;
    case "clip":
      // Comparisons, so that what is no number stays none.
      return `select(select(${x}, ${number(settings[0])}, ${x} < ${number(settings[0])}), ${
        number(settings[1])
      }, ${x} > ${number(settings[1])})`;
    case "cosine":
      return `cos(${x})`;
    case "divide":
      return `${x} / ${y}`;
    case "equal":
      return `${x} == ${y}`;
    case "erf":
      return called("erf_", x);
    case "expm1":
    case "gelu":
    case "geluTanh":
    case "log1p":
    case "sigmoid":
      return called(op, x);
    case "geluSlope":
    case "geluTanhSlope":
      return called(op, x, y);
    case "greater":
      return `${x} > ${y}`;
    case "greaterEqual":
      return `${x} >= ${y}`;
    case "inverse":
      return `${number(1)} / ${x}`;
    case "inverseRoot":
      return `${number(1)} / sqrt(${x})`;
    case "less":
      return `${x} < ${y}`;
    case "lessEqual":
      return `${x} <= ${y}`;
    case "maximum":
      return `max(${x}, ${y})`;
    case "minimum":
      return `min(${x}, ${y})`;
    case "multiply":
      return `${x} * ${y}`;
    case "negate":
      return `-${x}`;
    case "not":
      return `!${x}`;
    case "notEqual":
      return `${x} != ${y}`;
    case "number":
      return `select(${number(0)}, ${number(1)}, ${x})`;
    case "or":
      return `${x} | ${y}`;
    case "relu":
      return `select(${x}, ${number(0)}, ${x} < ${number(0)})`;
    case "root":
      return `sqrt(${x})`;
    case "select":
      return `select(${z}, ${y}, ${x})`;
    case "sine":
      return `sin(${x})`;
    case "square":
      return `${x} * ${x}`;
    case "squaredDifference":
      return `(${x} - ${y}) * (${x} - ${y})`;
    case "step":
      return `select(select(${x}, ${number(settings[0])}, ${x} <= ${number(0)}), ${number(1)}, ${x} > ${number(0)})`;
    case "subtract":
      return `${x} - ${y}`;
    case "tanh":
      return called("tanh_", x);
  }
}

/** Operations whose results are masks. */
export const MASKS: ReadonlySet<string> = new Set([
  ...["and", "equal", "greater", "greaterEqual", "less", "lessEqual", "not", "notEqual", "or"],
]);
