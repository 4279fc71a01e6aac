/**
 * Points on their way to a service while the run goes on: sent in groups, tried again where a failure may pass, and never
 * waited for but at the end, and not for long there.
 *
 * @module
 */
import { messageOf } from "../../dsl/error.ts";
import type { Ending, Point, RunLog } from "./logger.ts";
import { Passing } from "./service.ts";

/** How long things take, milliseconds. */
export interface Pace {
  /** Between two groups. */
  readonly every: number;
  /** Between two tries, at most. */
  readonly longest: number;
  /** At the end, for what is still to be sent. */
  readonly patience: number;
}

const PACE: Pace = { every: 1000, longest: 60_000, patience: 10_000 };

/** Most points that wait: a service that is away for longer gets no more. */
const MOST = 100_000;

/** Points on their way. */
export interface Sender {
  /** Takes a point; never waits, never fails. */
  readonly add: (point: Point) => void;
  /** Sends what is left and says how the run ended; waits for a bounded time, never fails. */
  readonly end: (how: Ending, results: Point) => Promise<void>;
}

/**
 * Whether work was done within a time; it goes on if not.
 *
 * @param work The work
 * @param milliseconds The time
 */
export async function within(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(late.resolve, milliseconds, false);
  return await Promise.race([work.then(() => true), late.promise]).finally(() => clearTimeout(timer));
}

/**
 * Sends points to a run's log.
 *
 * @param log The log
 * @param hangUp Ends requests that have no answer yet
 * @param warn Told in a line, once, of a failure, and once more at the end if something was not sent
 * @param pace How long things take
 */
export function sending(log: RunLog, hangUp: () => void, warn: (line: string) => void, pace: Pace = PACE): Sender {
  const waiting: Point[] = [];
  let [wait, isGivenUp, isWarned, isEnding] = [pace.every, false, false, false];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let flight: Promise<void> | undefined;

  const failed = (error: unknown) => {
    isGivenUp = !(error instanceof Error && error.cause instanceof Passing);
    wait = Math.min(2 * wait, pace.longest);
    const rest = isEnding
      ? "it does not have all of the run"
      : isGivenUp
      ? "the run continues without it"
      : "the run goes on, and it is tried again";
    if (!isWarned) warn(`warning: ${messageOf(error)}; ${rest}`);
    isWarned = true;
  };
  /** One group after the other, until nothing waits or one fails. */
  const flush = async () => {
    while (waiting.length > 0 && !isGivenUp) {
      const group = waiting.slice(0, log.most);
      try {
        await log.send(group);
        waiting.splice(0, group.length);
        wait = pace.every;
      } catch (error) {
        return failed(error);
      }
    }
  };
  const plan = () => {
    if (timer !== undefined || flight !== undefined || isGivenUp || isEnding || waiting.length === 0) return;
    timer = setTimeout(() => {
      timer = undefined;
      flight = flush().finally(() => {
        flight = undefined;
        plan();
      });
    }, wait);
  };
  return {
    add: (point) => {
      if (isGivenUp) return;
      waiting.push(point);
      if (waiting.length > MOST) {
        [isGivenUp, isWarned] = [true, true];
        warn(`warning: ${log.page}: ${MOST} steps could not be sent; the run continues without it`);
      }
      plan();
    },
    end: async (how, results) => {
      clearTimeout(timer);
      isEnding = true;
      const last = async () => {
        await flight;
        await flush();
        if (isGivenUp || waiting.length > 0) return;
        await log.end(how, results).catch(failed);
      };
      const isDone = await within(last(), pace.patience);
      hangUp();
      const count = waiting.length;
      [isGivenUp, waiting.length] = [true, 0];
      if (count > 0) warn(`warning: ${count} steps did not reach ${log.page}; metrics.jsonl has them`);
      else if (!isDone && !isWarned) warn(`warning: no answer from ${log.page} within ${pace.patience / 1000} s`);
    },
  };
}
