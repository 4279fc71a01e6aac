/**
 * What a compiled step would take on an H100 if every kernel ran at the card's limits: `roofline.ts DUMP [MOST]`, DUMP being
 * the folder of `plan.py`, MOST how many groups of equal kernels are listed (default 25).
 *
 * A kernel takes the longest of reading and writing its bytes once, its products' operations, and being launched. No cache is
 * counted, nor what lies between kernels, nor the host: what steps took on a card is expected from this and the number of kernels
 * ({@linkcode expected}).
 *
 * @module
 */
import { type Kernel, type KernelKind, kernelsOf } from "./hlo.ts";

/** Bytes a second of an H100's memory (SXM, HBM3). */
const BANDWIDTH = 3.35e12;
/** Operations a second that large products come to: 989 and 495 (TF32) T a second are the card's limits. */
const RATES: Readonly<Record<string, number>> = { bf16: 700e12, f16: 700e12, f32: 400e12 };
/** Milliseconds that a kernel takes at least. */
const LEAST = 3e-3;

/** Milliseconds of a kernel at the card's limits. */
export function millisecondsOf({ bytes, flops, type }: Pick<Kernel, "bytes" | "flops" | "type">): number {
  return Math.max(LEAST, 1e3 * bytes / BANDWIDTH, 1e3 * flops / (RATES[type] ?? RATES.f32));
}

/** Milliseconds on a card for each at its limits, and for each kernel. */
const MEASURED = { perMillisecond: 1.255, perKernel: 6.5e-3 };

/**
 * What a step may take on a card: fitted by least squares to the five of RESULTS.md that were measured and whose plans are known
 * (ViT-B/16, batch 64: 1LoRA, LoRA, DoRA and `all` in bf16, 1LoRA in float32; 27.9, 33.7, 42.1, 39.2 and 44.8 ms), which it meets
 * within 2 %.
 *
 * @param sum All kernels of the step
 */
export function expected({ kernels, ms }: Pick<Sum, "kernels" | "ms">): number {
  return MEASURED.perMillisecond * ms + MEASURED.perKernel * kernels;
}

/** Some kernels together. */
export interface Sum {
  readonly kernels: number;
  readonly bytes: number;
  readonly flops: number;
  readonly ms: number;
}

/**
 * Kernels added up by what they have in common.
 *
 * @param kernels The kernels
 * @param keyOf What that is
 */
export function sums<Key>(kernels: readonly Kernel[], keyOf: (kernel: Kernel) => Key): ReadonlyMap<Key, Sum> {
  const found = new Map<Key, Sum>();
  for (const kernel of kernels) {
    const before = found.get(keyOf(kernel)) ?? { kernels: 0, bytes: 0, flops: 0, ms: 0 };
    found.set(keyOf(kernel), {
      kernels: before.kernels + 1,
      bytes: before.bytes + kernel.bytes,
      flops: before.flops + kernel.flops,
      ms: before.ms + millisecondsOf(kernel),
    });
  }
  return found;
}

const KINDS: readonly KernelKind[] = ["products", "reductions", "elementwise", "layout", "conversions", "other"];

function line(name: string, { kernels, bytes, flops, ms }: Sum): string {
  const numbers = [`${kernels}`, (bytes / 1e9).toFixed(2), (flops / 1e12).toFixed(2), ms.toFixed(2)];
  return `${name.padEnd(12)}${numbers.map((each) => each.padStart(10)).join("")}`;
}

/**
 * The table of a step.
 *
 * @param kernels Its kernels
 * @param most How many groups of equal kernels follow
 */
export function table(kernels: readonly Kernel[], most: number): string {
  const byKind = sums(kernels, ({ kind }) => kind);
  const all = sums(kernels, () => "").get("")!;
  const groups = [...sums(kernels, ({ kind, text }) => `${kind.padEnd(12)} ${text}`)].sort(([, a], [, b]) =>
    b.ms - a.ms
  );
  return [
    `${"".padEnd(12)}${["kernels", "GB", "TFLOP", "ms"].map((each) => each.padStart(10)).join("")}`,
    ...KINDS.flatMap((kind) => byKind.has(kind) ? [line(kind, byKind.get(kind)!)] : []),
    line("all", all),
    `about ${expected(all).toFixed(1)} ms on a card`,
    ...groups.slice(0, most).map(([name, { kernels, ms, bytes }]) =>
      `${ms.toFixed(3).padStart(8)} ms ${`${kernels}`.padStart(4)} x ${
        (bytes / kernels / 1e6).toFixed(1).padStart(6)
      } MB ${name}`
    ),
  ].join("\n");
}

if (import.meta.main) {
  const [folder, most = "25"] = Deno.args;
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  const [name] = names.filter((name) => name.endsWith("gpu_after_optimizations.txt"));
  console.log(table(kernelsOf(Deno.readTextFileSync(`${folder}/${name}`)), Number(most)));
  for (const name of names.filter((name) => name.endsWith("buffer-assignment.txt"))) {
    const [, bytes] = /Total bytes used: (\d+)/.exec(Deno.readTextFileSync(`${folder}/${name}`)) ?? [];
    console.log(`${(Number(bytes) / 1e9).toFixed(2)} GB of memory`);
  }
}
