/**
 * AssemblyScript of products of one or two rows with four of a matrix in ggml's blocks, unrolled: a compiler of such functions
 * keeps nothing in registers over a loop's turns that it is not told to.
 *
 * No number of the matrix is ever in memory as float32. A vector of four whole numbers is masked out of the bytes where they
 * lie, which leaves them times a power of two that x was divided by beforehand (`prepareRow`, dsl/engine/wasm/assembly/blocks.ts),
 * and is multiplied and added up; a scale multiplies the sum of what it is the scale of.
 *
 * @module
 */
import {
  add,
  begin,
  type Body,
  finish,
  four,
  halves,
  lane,
  type Lines,
  load,
  plus,
  products,
  repeated,
  type Target,
} from "./block_lines.ts";

/** Numbers of four bits: the low ones of sixteen bytes, or the high ones. */
function nibbles(target: Target, from: string, at: number, isHigh: boolean): Lines {
  return four.flatMap((b) =>
    products(
      target,
      at + 16 * b,
      isHigh && b === 3
        ? (r) => `i32x4.shr_u(${from}${r}, 28)`
        : (r) => `v128.and(${from}${r}, v128.load(BLOCK, NIBBLES + ${16 * (2 * b + Number(isHigh))}))`,
    )
  );
}

/** Sixteen bytes without sign, which an expression has for each row. */
function bytes(target: Target, at: number, of: (row: number) => string): Lines {
  return [
    ...four.map((r) => `u${r} = ${of(r)};`),
    ...four.flatMap((b) =>
      products(
        target,
        at + 16 * b,
        b === 3 ? (r) => `i32x4.shr_u(u${r}, 24)` : (r) => `v128.and(u${r}, v128.load(BLOCK, BYTES + ${16 * b}))`,
      )
    ),
  ];
}

/**
 * Sixteen bytes with sign: a word's first byte, its first two, first three and all as a whole number each, the first three of them
 * with 128 more so that they have no sign. x was prepared so that what is in a number besides its last byte cancels out.
 */
function signedBytes(target: Target, from: string, at: number): Lines {
  return [
    ...four.map((r) => `u${r} = v128.xor(${from}${r}, v128.load(BLOCK, BIASED));`),
    ...four.flatMap((b) =>
      products(
        target,
        at + 16 * b,
        b === 3 ? (r) => `u${r}` : (r) => `v128.and(u${r}, v128.load(BLOCK, LOWER + ${16 * b}))`,
      )
    ),
  ];
}

/** Blocks of 32 numbers of four bits, or five. */
function small(hasMinimum: boolean, hasFifth: boolean): Body {
  const at = hasMinimum ? 4 : 2;
  const low = hasFifth ? at + 4 : at;
  const fifth = (r: number, h: number) => `fifthBits(f${r}, v128.load(BLOCK, SPREAD + ${16 * h}))`;
  return {
    bytes: low + 16,
    prepared: 144,
    lines: (target) => [
      ...halves("d", 0),
      ...(hasMinimum ? halves("e", 2) : []),
      ...load("w", low),
      ...begin(target, hasMinimum ? undefined : 128),
      ...(hasFifth
        ? [
          ...four.map((r) => `f${r} = v128.load32_splat(m${r}, ${at});`),
          ...bytes(target, 0, (r) => `v128.or(low(w${r}), ${fifth(r, 0)})`),
          ...bytes(target, 64, (r) => `v128.or(high(w${r}), ${fifth(r, 1)})`),
        ]
        : [...nibbles(target, "w", 0, false), ...nibbles(target, "w", 64, true)]),
      ...finish(target, lane("d")),
      ...(hasMinimum ? plus(target, 128, lane("e")) : []),
    ],
  };
}

/** Blocks of 32 bytes. */
const eight: Body = {
  bytes: 34,
  prepared: 144,
  lines: (target) => [
    ...halves("d", 0),
    ...begin(target, 128),
    ...[0, 1].flatMap((h) => [...load("w", 2 + 16 * h), ...signedBytes(target, "w", 64 * h)]),
    ...finish(target, lane("d")),
  ],
};

/** Places for the scales of a block's groups, and one of them in all lanes. */
const scalesAt = (r: number) => 64 * r;
const groupScale = (group: number) => (r: number) => `v128.load_splat<f32>(scales, ${scalesAt(r) + 4 * group})`;

/** Blocks of 256 numbers in eight groups with minima, of four bits or five. */
function groups(hasFifth: boolean): Body {
  const at = hasFifth ? 48 : 16;
  const floats = (half: string, scale: string) =>
    `f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_${half}_i16x8_u(u0)), ${scale})`;
  // Two groups are the halves of 32 bytes; of the fifth bits, each time the lowest two.
  const pair = (target: Target) =>
    [0, 1].flatMap((group) => [
      ...begin(target),
      ...["w", "v"].flatMap((from, h) => {
        const part = group === 1 ? "high" : "low";
        const fifth = (r: number) => `v128.and(i16x8.shl(${"fg"[h]}${r}, ${4 - group}), v128.load(BLOCK, SIXTEEN))`;
        return hasFifth
          ? bytes(target, 128 * group + 64 * h, (r) => `v128.or(${part}(${from}${r}), ${fifth(r)})`)
          : nibbles(target, from, 128 * group + 64 * h, group === 1);
      }),
      ...finish(target, groupScale(group)),
    ]);
  const next = ["f", "g"].flatMap((of) => four.map((r) => `${of}${r} = i16x8.shr_u(${of}${r}, 2);`));
  return {
    bytes: at + 128,
    prepared: 1056,
    lines: (target) => [
      ...halves("d", 0),
      ...halves("e", 2),
      "e = f32x4.neg(e);",
      ...four.flatMap((r) => [
        `u0 = groupScales(m${r});`,
        `u1 = ${lane("d")(r)};`,
        `v128.store(BLOCK, ${floats("low", "u1")}, SCALES + ${scalesAt(r)});`,
        `v128.store(BLOCK, ${floats("high", "u1")}, SCALES + ${scalesAt(r) + 16});`,
        `u0 = groupMinima(m${r});`,
        `u1 = ${lane("e")(r)};`,
        ...["low", "high"].flatMap((half, i) => [
          `q = ${floats(half, "u1")};`,
          ...target.texts.map((k) => add(target, `v128.load(x${k}, ${1024 + 16 * i})`, "q", `s${k}${r}`)),
        ]),
      ]),
      ...(hasFifth ? [...load("f", 16), ...load("g", 32)] : []),
      ...repeated(target, 4, [...load("w", at), ...load("v", at + 16), ...pair(target)], 256, { m: 32 }, [
        "scales += 8;",
        ...(hasFifth ? next : []),
      ]),
    ],
  };
}

/** Blocks of 256 numbers of six bits in sixteen groups. */
const six: Body = {
  bytes: 210,
  prepared: 1280,
  lines: (target) => [
    ...halves("d", 208),
    ...four.flatMap((r) => [
      `n${r} = m${r} + 128;`,
      `u0 = v128.load(m${r}, 192);`,
      `u1 = ${lane("d")(r)};`,
      ...["low", "high"].flatMap((bytes, i) => [
        `u2 = i16x8.extend_${bytes}_i8x16_s(u0);`,
        ...["low", "high"].map((half, k) =>
          `v128.store(BLOCK, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_${half}_i16x8_s(u2)), u1), SCALES + ${
            scalesAt(r) + 32 * i + 16 * k
          });`
        ),
      ]),
    ]),
    // Of a half of 128 numbers, sixteen and those 32, 64 and 96 behind them, twice.
    ...repeated(
      target,
      2,
      [0, 1].flatMap((behind) => [
        ...load("w", 16 * behind),
        ...load("v", 16 * behind + 32),
        ...load("f", 16 * behind, "n"),
        ...[0, 1, 2, 3].flatMap((j) => {
          const group = behind + 2 * j;
          return [
            ...begin(target, 80 * group + 64),
            ...bytes(target, 80 * group, (r) => {
              const two = [`i16x8.shl(f${r}, 4)`, `i16x8.shl(f${r}, 2)`, `f${r}`, `i16x8.shr_u(f${r}, 2)`][j];
              return `v128.or(${j < 2 ? "low" : "high"}(${
                "wv"[j & 1]
              }${r}), v128.and(${two}, v128.load(BLOCK, THREES)))`;
            }),
            ...finish(target, groupScale(group)),
          ];
        }),
      ]),
      640,
      { m: 64, n: 32 },
      ["scales += 32;"],
    ),
  ],
};

const bodies: Readonly<Record<string, Body>> = {
  Q4_0: small(false, false),
  Q4_1: small(true, false),
  Q5_0: small(false, true),
  Q5_1: small(true, true),
  Q8_0: eight,
  Q4_K: groups(false),
  Q5_K: groups(true),
  Q6_K: six,
};

/** A function of a form for one row of x, or two. */
function functionOf(name: string, body: Body, target: Target): Lines {
  const { texts } = target;
  const sums = texts.flatMap((k) => four.map((r) => `s${k}${r}`));
  const used = [
    "a0",
    "a1",
    "q",
    "d",
    "e",
    ...["t0", "t1", "u", "v", "w", "f", "g"].flatMap((n) => four.map((r) => `${n}${r}`)),
  ];
  return [
    `function ${name}(x0: usize, next: usize, row: usize, far: usize, out: usize, step: usize, stride: usize): void {`,
    "const end = x0 + next;",
    ...(texts.length > 1 ? ["let x1 = end;"] : []),
    "let m0 = row, m1 = m0 + far, m2 = m1 + far, m3 = m2 + far;",
    "let n0: usize, n1: usize, n2: usize, n3: usize, scales: usize;",
    ...sums.map((sum) => `let ${sum} = f32x4.splat(0);`),
    `let ${used.map((local) => `${local}: v128`).join(", ")};`,
    "while (x0 < end) {",
    ...body.lines(target),
    ...texts.map((k) => `x${k} += ${body.prepared};`),
    ...four.map((r) => `m${r} += ${body.bytes};`),
    "}",
    ...texts.flatMap((k) => four.map((r) => `f32.store(out + ${k} * stride + ${r} * step, sumLanes(s${k}${r}));`)),
    "}",
  ];
}

/**
 * Source of `multiplyBlocks(form, isTwo, x, next, row, far, out, step, stride)`: products of one or two prepared rows of x, of
 * `next` bytes each, and four rows of a matrix, `far` bytes apart; results are `step` bytes apart, and `stride` those of the
 * second row. Every sum has the same order in both. And of `preparedBytes(form, depth)`.
 *
 * @param fused Whether there is a fused multiply-add
 */
export function blockRows(fused: boolean): string {
  const forms = Object.entries(bodies);
  const numbers = (name: string) => name.endsWith("K") ? 256 : 32;
  return [
    'import { anyHalves, BIASED, BYTES, fifthBits, groupMinima, groupScales, LOWER, NIBBLES, SCALES, SPREAD } from "./blocks";',
    'import { Form, high, low, SIXTEEN, THREES } from "./forms";',
    'import { BLOCK, block, sumLanes } from "./layout";',
    ...forms.flatMap(([name, body]) => [
      ...functionOf(`${name}_1`, body, { fused, texts: [0] }),
      ...functionOf(`${name}_2`, body, { fused, texts: [0, 1] }),
    ]),
    "export function multiplyBlocks(form: Form, isTwo: bool, x: usize, next: usize, row: usize, far: usize, out: usize, " +
    "step: usize, stride: usize): void {",
    "switch (form) {",
    ...forms.flatMap(([name]) => [
      `case Form.${name}:`,
      `if (isTwo) ${name}_2(x, next, row, far, out, step, stride);`,
      `else ${name}_1(x, next, row, far, out, step, stride);`,
      "break;",
    ]),
    "default:",
    "}",
    "}",
    "/** Bytes of a prepared row of x; 0 of forms without such a product. */",
    "export function preparedBytes(form: Form, depth: usize): usize {",
    "switch (form) {",
    ...forms.map(([name, { prepared }]) => `case Form.${name}: return depth / ${numbers(name)} * ${prepared};`),
    "default: return 0;",
    "}",
    "}",
  ].join("\n");
}
