/**
 * Progress of a run: a bar on a terminal, a few plain lines elsewhere.
 *
 * @module
 */

import process from "node:process";
// @ts-types="@types/cli-progress"
import { SingleBar } from "cli-progress";
import { ranksInUse } from "../../dsl/ranks.ts";

/** One step's figures. */
export interface Tick {
  /** Steps done. */
  readonly step: number;
  /** The step's loss. */
  readonly loss: number;
  /** The step's learning rate. */
  readonly rate: number;
}

/** A progress display. */
export interface Progress {
  /** Shows a step. */
  readonly tick: (tick: Tick) => void;
  /** Prints a line beside the progress. */
  readonly note: (line: string) => void;
  /** Ends the display. */
  readonly stop: () => void;
}

/** What is being done. */
export interface Run {
  /** Its name, shown first. */
  readonly label: string;
  /** Steps there are. */
  readonly total: number;
  /** Steps done before this run began; 0 by default. */
  readonly start?: number;
}

/** Where progress is shown. */
export interface Screen {
  /** Whether a bar can be drawn. */
  readonly isTerminal: boolean;
  /** Prints a line. */
  readonly line: (text: string) => void;
  /** Milliseconds of a clock. */
  readonly now: () => number;
}

/** Least milliseconds between two plain lines. */
const PAUSE = 2_000;
/** Milliseconds after which a plain line is due however few steps were done. */
const SILENCE = 60_000;
/** Most plain lines of a run whose steps are quick. */
const LINES = 50;

/**
 * A span of time in its two largest units: `9s`, `1m 05s`, `2h 03m`.
 *
 * @param seconds The span
 */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
}

/** Standard output, as it is. */
function standardOutput(): Screen {
  // Open MPI gives each process a terminal of its own, whatever becomes of what it prints.
  const isTerminal = Deno.stdout.isTerminal() && ranksInUse().size === 1;
  return { isTerminal, line: (text) => console.log(text), now: () => performance.now() };
}

/** The bar of a terminal, drawn by cli-progress. */
function bar({ label, total, start = 0 }: Run, left: (step: number) => string): Progress {
  const drawn = new SingleBar({
    format: "{label} [{bar}] {value}/{total}  loss {loss}  lr {rate}  {left} left",
    barCompleteChar: "=",
    barIncompleteChar: " ",
    barsize: 24,
    fps: 8,
    // Ctrl-C belongs to the trainer, which saves before it leaves.
    gracefulExit: false,
    stream: process.stdout,
  });
  drawn.start(total, start, { label, loss: "-", rate: "-", left: "-" });
  return {
    tick: ({ step, loss, rate }) =>
      drawn.update(step, { loss: loss.toFixed(4), rate: rate.toExponential(2), left: left(step) }),
    // The bar comes back below the line with its next redraw.
    note: (line) => void process.stdout.write(`\r\x1b[K${line}\n`),
    stop: () => drawn.stop(),
  };
}

/** Plain lines: the first step, the last, and now and then one between. */
function lines({ label, total }: Run, left: (step: number) => string, screen: Screen): Progress {
  let last: { readonly step: number; readonly time: number } | undefined;
  return {
    tick: ({ step, loss, rate }) => {
      const time = screen.now();
      const quiet = last === undefined ? Infinity : time - last.time;
      const isDue = quiet >= SILENCE || quiet >= PAUSE && step - (last?.step ?? 0) >= total / LINES;
      if (!isDue && step < total) return;
      last = { step, time };
      screen.line(
        `${label}  ${step}/${total}  loss ${loss.toFixed(4)}  lr ${rate.toExponential(2)}  ${left(step)} left`,
      );
    },
    note: screen.line,
    stop: () => {},
  };
}

/**
 * Shows how far a run is, its loss, learning rate and the time left: the mean time of its steps so far, times the
 * steps to come.
 *
 * @param run What is being done
 * @param screen Where it is shown; standard output by default
 */
export function progress(run: Run, screen: Screen = standardOutput()): Progress {
  const began = screen.now();
  const left = (step: number) => {
    const done = step - (run.start ?? 0);
    return done <= 0 ? "-" : span((screen.now() - began) / 1000 / done * (run.total - step));
  };
  return screen.isTerminal ? bar(run, left) : lines(run, left, screen);
}
