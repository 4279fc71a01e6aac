/**
 * Lines of AssemblyScript that products with a matrix in ggml's blocks consist of.
 *
 * @module
 */
/** Rows of the matrix. */
export const four = [0, 1, 2, 3];

/** What a function is written for. */
export interface Target {
  /** Whether there is a fused multiply-add. */
  readonly fused: boolean;
  /** Rows of x: 0, or 0 and 1. */
  readonly texts: readonly number[];
}

export type Lines = readonly string[];

/** Sources of what is done with a block. */
export interface Body {
  /** Bytes of a block of the matrix. */
  readonly bytes: number;
  /** Bytes of what was prepared of x for it. */
  readonly prepared: number;
  readonly lines: (target: Target) => Lines;
}

export function add({ fused }: Target, a: string, b: string, sum: string): string {
  return fused
    ? `${sum} = f32x4.relaxed_madd(${a}, ${b}, ${sum});`
    : `${sum} = f32x4.add(f32x4.mul(${a}, ${b}), ${sum});`;
}

/** Sums of a group begin at what x has there, or at nothing. */
export function begin({ texts }: Target, at?: number): Lines {
  return texts.flatMap((k) =>
    four.map((r) => `t${k}${r} = ${at === undefined ? "f32x4.splat(0)" : `v128.load(x${k}, ${at})`};`)
  );
}

/** Four whole numbers of each row times four of x. */
export function products(target: Target, at: number, of: (row: number) => string): Lines {
  return [
    ...target.texts.map((k) => `a${k} = v128.load(x${k}, ${at});`),
    ...four.flatMap((r) => [
      `q = f32x4.convert_i32x4_s(${of(r)});`,
      ...target.texts.map((k) => add(target, `a${k}`, "q", `t${k}${r}`)),
    ]),
  ];
}

/** Sums of a group times its scale. */
export function finish(target: Target, scale: (row: number) => string): Lines {
  return four.flatMap((
    r,
  ) => [`q = ${scale(r)};`, ...target.texts.map((k) => add(target, `t${k}${r}`, "q", `s${k}${r}`))]);
}

/** Four numbers of x times one of each row. */
export function plus(target: Target, at: number, of: (row: number) => string): Lines {
  return [
    ...target.texts.map((k) => `a${k} = v128.load(x${k}, ${at});`),
    ...four.flatMap((r) => [`q = ${of(r)};`, ...target.texts.map((k) => add(target, `a${k}`, "q", `s${k}${r}`))]),
  ];
}

/** One of four lanes in all of them. */
export function lane(vector: string): (row: number) => string {
  return (r) => `v128.shuffle<f32>(${vector}, ${vector}, ${r}, ${r}, ${r}, ${r})`;
}

/** Halves of the four rows' blocks as float32. */
export function halves(to: string, at: number): Lines {
  return [
    "q = i32x4.splat(0);",
    ...four.map((r) => `q = v128.load_lane<i16>(m${r}, q, ${r}, ${at});`),
    `${to} = anyHalves(i32x4.extend_low_i16x8_s(q));`,
  ];
}

/** Sixteen bytes of each row. */
export function load(to: string, at: number, from = "m"): Lines {
  return four.map((r) => `${to}${r} = v128.load(${from}${r}, ${at});`);
}

/** Locals that move on by so many bytes. */
type Moves = Readonly<Record<string, number>>;

/** Lines that are gone through some times, with pointers that move on in between, and are back where they were behind it. */
export function repeated({ texts }: Target, times: number, lines: Lines, x: number, rows: Moves, others: Lines): Lines {
  const moved = (sign: string, by: (bytes: number) => number) => [
    ...texts.map((k) => `x${k} ${sign}= ${by(x)};`),
    ...Object.entries(rows).flatMap(([name, bytes]) => four.map((r) => `${name}${r} ${sign}= ${by(bytes)};`)),
  ];
  return [
    "scales = block + SCALES;",
    `for (let i = 0; i < ${times}; i++) {`,
    ...lines,
    ...moved("+", (bytes) => bytes),
    ...others,
    "}",
    ...moved("-", (bytes) => bytes * times),
  ];
}
