/**
 * Time and memory of our step against batch, depth and width.
 *
 * @module
 */
import type { StepJob, VitJson } from "./job.ts";
import type { OurAnswer } from "./ours.ts";
import { type Spread, spread } from "./statistics.ts";
import { takenBytes } from "./steps.ts";

/** What is varied. */
export type Axis = "batch" | "depth" | "width";

/** One point. */
export interface ScalingResult {
  /** What is varied. */
  readonly axis: Axis;
  /** Images a step, blocks or features. */
  readonly value: number;
  /** Seconds of a step. */
  readonly seconds: Spread;
  /** Peak memory of a process, what it had before any weight was loaded excepted. */
  readonly bytes: Spread;
  /** Floating-point operations of the step's matrix products. */
  readonly productFlops: number;
}

const FACTORS: readonly number[] = [0.25, 0.5, 1, 2];

/** A point before it is measured. */
interface Point {
  readonly axis: Axis;
  readonly value: number;
  readonly job: StepJob;
}

function scaled(job: StepJob, axis: Axis, factor: number): Point {
  const times = (value: number) => Math.max(1, Math.round(value * factor));
  if (axis === "batch") return { axis, value: times(job.batch), job: { ...job, batch: times(job.batch) } };
  const { num_hidden_layers: depth, num_attention_heads: heads, hidden_size: width, intermediate_size } = job.config;
  const changed: Partial<VitJson> = axis === "depth" ? { num_hidden_layers: times(depth) } : {
    num_attention_heads: times(heads),
    hidden_size: times(heads) * (width / heads),
    intermediate_size: times(heads) * (intermediate_size / heads),
  };
  const config = { ...job.config, ...changed } as VitJson;
  // Weights of another size do not fit.
  const { folder: _, ...rest } = job;
  return { axis, value: axis === "depth" ? config.num_hidden_layers : config.hidden_size, job: { ...rest, config } };
}

/**
 * Measures a quarter, half, once and twice of each.
 *
 * @param job The middle
 * @param rounds How many times, in turn
 * @param measure Measures one process
 * @param note Called for each measurement
 */
export async function measureScaling(
  job: StepJob,
  rounds: number,
  measure: (job: StepJob) => Promise<OurAnswer>,
  note: (line: string) => void,
): Promise<readonly ScalingResult[]> {
  const points = (["batch", "depth", "width"] as const)
    .flatMap((axis) => FACTORS.map((factor) => scaled(job, axis, factor)))
    .filter(({ axis, value }, i, all) => all.findIndex((each) => each.axis === axis && each.value === value) === i);
  const answers = points.map((): OurAnswer[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { axis, value, job }] of points.entries()) {
      answers[i].push(await measure(job));
      note(`[${round * points.length + i + 1}/${rounds * points.length}] ${axis} ${value}`);
    }
  }
  return points.map(({ axis, value }, i) => ({
    axis,
    value,
    seconds: spread(answers[i].flatMap(({ seconds }) => seconds)),
    bytes: spread(answers[i].map(takenBytes)),
    productFlops: answers[i][0].productFlops,
  }));
}
