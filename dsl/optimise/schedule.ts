/**
 * Schedules: the factor of the base learning rate at each step, as plain numbers.
 *
 * @module
 */
import { unknownName } from "../error.ts";

/** Factor of the base rate at a step; steps count from 0. */
export type Schedule = (step: number) => number;

/** The factor is always 1. */
export function constantRate(): Schedule {
  return () => 1;
}

/**
 * From 1 down to 0 along a line.
 *
 * @param steps Steps until 0
 */
export function linearDecay(steps: number): Schedule {
  return (step) => Math.max(0, 1 - step / Math.max(1, steps));
}

/**
 * From 1 down to 0 along half a cosine: (1 + cos(π step / steps)) / 2.
 *
 * @param steps Steps until 0
 */
export function cosineDecay(steps: number): Schedule {
  return (step) => (1 + Math.cos(Math.PI * Math.min(1, step / Math.max(1, steps)))) / 2;
}

/**
 * Puts a rise from 0 to 1 before a schedule, which then starts at its own step 0. Transformers'
 * `get_cosine_schedule_with_warmup` is `warmUp(w)(cosineDecay(steps - w))`.
 *
 * @param steps Length of the rise
 *
 * @example
 * ```ts
 * import { constantRate, warmUp } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * assertEquals([0, 1, 2, 3].map(warmUp(2)(constantRate())), [0, 0.5, 1, 1]);
 * ```
 */
export function warmUp(steps: number): (schedule: Schedule) => Schedule {
  return (schedule) => (step) => step < steps ? step / steps : schedule(step - steps);
}

/** Shape of a one-cycle schedule; defaults are those of torch.optim.lr_scheduler.OneCycleLR. */
export interface OneCycleOptions {
  /** Steps in all. */
  readonly steps: number;
  /** Share of the steps spent rising (default 0.3). */
  readonly rise?: number;
  /** The first factor is 1 / divisor (default 25). */
  readonly divisor?: number;
  /** The last factor is 1 / (divisor finalDivisor) (default 1e4). */
  readonly finalDivisor?: number;
}

/** Half a cosine from `first` to `peak` over the rise, then from `peak` to `last`. */
function cycle({ steps, rise = 0.3 }: OneCycleOptions, first: number, peak: number, last: number): Schedule {
  const [top, end] = [Math.max(0, rise * steps - 1), steps - 1];
  const along = (a: number, b: number, done: number) => b + (a - b) / 2 * (1 + Math.cos(Math.PI * done));
  return (step) => {
    const at = Math.min(step, end);
    if (at < top) return along(first, peak, at / top);
    return end > top ? along(peak, last, (at - top) / (end - top)) : peak;
  };
}

/**
 * One cycle (Smith 2018): up to 1 along half a cosine, then down to almost 0.
 *
 * @param options See {@linkcode OneCycleOptions}
 */
export function oneCycle(options: OneCycleOptions): Schedule {
  const { divisor = 25, finalDivisor = 1e4 } = options;
  return cycle(options, 1 / divisor, 1, 1 / (divisor * finalDivisor));
}

/**
 * The momentum (AdamW: beta1) that goes with {@linkcode oneCycle}: low while the rate is high.
 *
 * @param options The same options
 * @param low At the peak of the rate (default 0.85)
 * @param high At both ends (default 0.95)
 */
export function oneCycleMomentum(options: OneCycleOptions, low = 0.85, high = 0.95): Schedule {
  return cycle(options, high, low, high);
}

/** Length of a run. */
export interface Span {
  /** Steps in all. */
  readonly steps: number;
  /** How many of them warm up; one-cycle takes them as its rise. */
  readonly warmup: number;
}

/** Schedules by name. */
export const schedules: Readonly<Record<string, (span: Span) => Schedule>> = {
  constant: ({ warmup }) => warmUp(warmup)(constantRate()),
  linear: ({ steps, warmup }) => warmUp(warmup)(linearDecay(steps - warmup)),
  cosine: ({ steps, warmup }) => warmUp(warmup)(cosineDecay(steps - warmup)),
  "one-cycle": ({ steps, warmup }) => oneCycle({ steps, rise: warmup > 0 ? warmup / steps : undefined }),
  // Depth Anything's: the rate starts at its peak, and only momentum moves while others rise.
  "one-cycle-flat": ({ steps, warmup }) =>
    oneCycle({ steps, rise: warmup > 0 ? warmup / steps : undefined, divisor: 1 }),
};

/**
 * The schedule of that name.
 *
 * @param name One of {@linkcode schedules}
 * @throws OneloraError for any other name
 */
export function parseSchedule(name: string): (span: Span) => Schedule {
  if (!Object.hasOwn(schedules, name)) throw unknownName("schedule", name, Object.keys(schedules));
  return schedules[name];
}
