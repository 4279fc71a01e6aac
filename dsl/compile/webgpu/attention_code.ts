/**
 * What the kernels of attention in blocks have in common: their sizes, which keys a query sees, and the code that repeats.
 *
 * @module
 */
import type { Call, ValueId } from "../program.ts";
import type { Lowering } from "./lowering.ts";

/** Numbers of rows that a thread keeps at most. */
const KEPT = 1024;

/** What the kernels of a call have in common. */
export interface Job {
  readonly batch: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  /** Fours of a head. */
  readonly fours: number;
  readonly scale: number;
  /** Keys that a query sees at most, its own the last; 0 where it sees all. */
  readonly window: number;
  readonly mask?: ValueId;
}

export function jobOf({ attrs }: Call, [q, k, mask]: readonly (ValueId | undefined)[], { types }: Lowering): Job {
  const [batch, heads, queries, size] = types[q!].shape;
  const [, keyHeads, keys] = types[k!].shape;
  const window = Math.min(Number(attrs.window ?? 0), keys);
  return { batch, heads, keyHeads, queries, keys, fours: size / 4, scale: Number(attrs.scale), window, mask };
}

/** Rows of a thread: neighbours on a card read the same numbers at once, on a processor a thread reads them for several rows. */
export function rowsOf({ lanes }: Lowering["target"], count: number, fours: number, kinds: number): number {
  if (lanes > 1) return 1;
  const most = Math.max(1, Math.floor(KEPT / (4 * fours * kinds)));
  return [4, 3, 2].find((rows) => rows <= most && Math.ceil(count / rows) * rows <= 1.25 * count) ?? 1;
}

export const PARTS = [..."xyzw"];
export const ROWS = (rows: number): readonly number[] => Array.from({ length: rows }, (_, r) => r);
export const LEAST = "-3.4028234663852886e38f";

/** Code of a thread. */
export class Lines {
  readonly all: string[] = [];

  add(...lines: readonly string[]): void {
    this.all.push(...lines);
  }

  /** A row for each of `rows`, read from a tensor. */
  rows(name: string, from: string, at: (r: number) => string, rows: number, fours: number): void {
    for (const r of ROWS(rows)) {
      for (let d = 0; d < fours; d++) this.add(`  let ${name}${r}_${d} = ${from}[${at(r)} + ${d}u];`);
    }
  }

  /** Zeros for each of `rows`. */
  zeros(name: string, rows: number, fours: number): void {
    for (const r of ROWS(rows)) for (let d = 0; d < fours; d++) this.add(`  var ${name}${r}_${d} = vec4<f32>(0);`);
  }

  /** Four rows of a tensor that all of a thread's rows meet. */
  four(name: string, from: string, at: (t: number) => string, fours: number): void {
    for (let d = 0; d < fours; d++) {
      for (let t = 0; t < 4; t++) this.add(`    let ${name}${t}_${d} = ${from}[${at(t)} + ${d}u];`);
    }
  }

  /** to_r = row_r . (each of four rows) */
  products(to: string, row: string, four: string, rows: number, fours: number): void {
    for (const r of ROWS(rows)) this.add(`    var ${to}${r} = vec4<f32>(0);`);
    for (let d = 0; d < fours; d++) {
      for (const part of PARTS) {
        const across = [0, 1, 2, 3].map((t) => `${four}${t}_${d}.${part}`).join(", ");
        this.add(`    { let y = vec4<f32>(${across});`);
        for (const r of ROWS(rows)) {
          this.add(`      ${to}${r} = fma(vec4<f32>(${row}${r}_${d}.${part}), y, ${to}${r});`);
        }
        this.add("    }");
      }
    }
  }

  /** sum_r += weight_r . (the four rows) */
  sums(sum: string, weight: string, four: string, rows: number, fours: number): void {
    for (const r of ROWS(rows)) {
      for (let d = 0; d < fours; d++) {
        for (let t = 0; t < 4; t++) {
          this.add(
            `    ${sum}${r}_${d} = fma(vec4<f32>(${weight}${r}.${PARTS[t]}), ${four}${t}_${d}, ${sum}${r}_${d});`,
          );
        }
      }
    }
  }
}

/** What is added to a number for it and the next three. */
export const FOUR = "vec4<u32>(0u, 1u, 2u, 3u)";

/** Which of four keys a query sees, and what a mask adds to their scores; `place` is the query's number. */
export function seen(job: Job, mask: string | undefined, place: string): readonly [isSeen: string, added: string] {
  const { keys, window } = job;
  const conditions = [
    ...keys % 4 === 0 ? [] : [`key < vec4<u32>(${keys}u)`],
    ...window > 0 ? [`key <= vec4<u32>(${place})`] : [],
    ...window > 0 && window < keys ? [`key + vec4<u32>(${window}u) > vec4<u32>(${place})`] : [],
  ];
  const isSeen = conditions.map((each) => `(${each})`).join(" & ");
  if (mask === undefined) return [isSeen, ""];
  const numbers = [0, 1, 2, 3].map((t) => {
    const key = keys % 4 === 0 ? `key.${PARTS[t]}` : `min(key.${PARTS[t]}, ${keys - 1}u)`;
    return `${mask}[masked + ${key}]`;
  });
  return [isSeen, `vec4<f32>(${numbers.join(", ")})`];
}

/** Where a mask's row begins. */
export function maskRow({ keys, queries }: Job, shape: readonly number[], batch: string, place: string): string {
  const terms = [
    ...shape[0] > 1 ? [`${batch} * ${(shape[2] > 1 ? queries : 1) * keys}u`] : [],
    ...shape[2] > 1 ? [`${place} * ${keys}u`] : [],
  ];
  return terms.join(" + ") || "0u";
}
