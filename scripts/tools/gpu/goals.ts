/**
 * What was set as goals for a card, and the table that says which are met.
 *
 * @module
 */
import type { CardJob } from "./job.ts";
import type { Row } from "./processes.ts";

/** Part of a job: what tells it from others. */
type Which = Partial<CardJob>;

/** One goal: a figure of ours, alone or as a share of another one. */
export interface Goal {
  /** What it is. */
  readonly text: string;
  /** Ours. */
  readonly ours: Which;
  /** What it is compared with. */
  readonly other?: Which;
  /** The figure: milliseconds of a step, bytes at the peak, or seconds to the first step. */
  readonly figure: "ms" | "bytes" | "first";
  /** At most so much. */
  readonly must: number;
  /** At best. */
  readonly aim: number;
}

const vit: Which = { model: "vit-base", batch: 64, precision: "bf16", method: "1lora" };
const plain: Which = { what: undefined, note: undefined, flags: undefined };

/** Our step beside PyTorch's. */
function step(text: string, which: Which, [must, aim]: readonly [number, number], how: CardJob["how"] = "eager"): Goal {
  return { text, ours: { ...which, ...plain, how: "whole" }, other: { ...which, how }, figure: "ms", must, aim };
}

/** Our allocator's peak beside PyTorch's. */
function memory(text: string, which: Which): Goal {
  const ours: Which = { ...which, how: "whole", what: "memory" };
  return { text, ours, other: { ...which, how: "eager" }, figure: "bytes", must: 0.8, aim: 0.5 };
}

/** The goals, in the order of the table. */
export const goals: readonly Goal[] = [
  step("1LoRA, bf16", vit, [0.5, 0.3]),
  step("the same, PyTorch compiled", vit, [1, 0.7], "compiled"),
  step("1LoRA, float32", { ...vit, precision: "float32" }, [0.6, 0.4]),
  {
    ...{
      text: "1LoRA's step of BitFit's",
      figure: "ms",
      must: 1.1,
      aim: 1.02,
      ours: { ...vit, ...plain, how: "whole" },
    },
    other: { ...vit, ...plain, method: "bitfit", how: "whole" },
  },
  step("LoRA, bf16", { ...vit, method: "lora" }, [0.7, 0.4]),
  step("DoRA, bf16", { ...vit, method: "dora" }, [0.4, 0.2]),
  step("all, bf16", { ...vit, method: "all" }, [0.9, 0.7]),
  step("TinyLlama, 8 x 512, bf16", { model: "tinyllama-1.1b" }, [0.9, 0.5]),
  step("DiT-XL/2, batch 8, bf16", { model: "dit-xl-2" }, [0.9, 0.5]),
  step("Depth Anything large, batch 4, bf16", { model: "depth-anything-large" }, [0.9, 0.5]),
  memory("memory, 1LoRA, bf16", vit),
  memory("memory, 1LoRA, float32", { ...vit, precision: "float32" }),
  {
    ...{ text: "second start to its first step, s", figure: "first", must: 10, aim: 3 },
    ours: { ...vit, note: "second start" },
  },
  {
    ...{ text: "the same, kernels kept, s", figure: "first", must: 10, aim: 3 },
    ours: { ...vit, note: "second start, kernels kept" },
  },
];

function find(rows: readonly Row[], which: Which): Row["answer"] {
  const wanted = Object.entries(which) as [keyof CardJob, unknown][];
  return rows.find(({ job, answer }) => answer !== undefined && wanted.every(([key, value]) => job[key] === value))
    ?.answer;
}

function shown(figure: Goal["figure"], value: number | undefined): string {
  if (value === undefined) return "-";
  return figure === "bytes" ? `${(value / 1e9).toFixed(2)} GB` : `${value.toFixed(1)} ${figure === "ms" ? "ms" : "s"}`;
}

/** How a figure stands to its goal. */
function verdict(value: number | undefined, { must, aim }: Goal): string {
  if (value === undefined) return "not measured";
  return value <= aim ? "as aimed" : value <= must ? "met" : "MISSED";
}

/**
 * The table of the goals: ours, the other's, the ratio, what it must be at most, and whether it is.
 *
 * @param rows What was measured
 */
export function goalTable(rows: readonly Row[]): string {
  const lines = goals.map((goal) => {
    const { text, figure, other, must, aim } = goal;
    const [ours, theirs] = [find(rows, goal.ours)?.[figure], other && find(rows, other)?.[figure]];
    const value = other === undefined || ours === undefined ? ours : theirs === undefined ? undefined : ours / theirs;
    const ratio = other === undefined || value === undefined ? "-" : value.toFixed(3);
    return [text, shown(figure, ours), shown(figure, theirs), ratio, `${must}`, `${aim}`, verdict(value, goal)];
  });
  const all = [["figure", "ours", "PyTorch's", "ratio", "must", "aim", ""], ...lines];
  const widths = all[0].map((_, i) => Math.max(...all.map((line) => line[i].length)));
  return all.map((line) =>
    line.map((cell, i) => i === 0 || i === 6 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ").trimEnd()
  ).join("\n");
}
