/**
 * `--lrs auto`: a learning rate for each method, found on examples that are held out.
 *
 * @module
 */
import { type Cell, planCells } from "./plan.ts";
import { type Deciding, heldOutValue, order } from "./rows.ts";
import { type CellResult, hasDiverged } from "./run.ts";

/** Rates that are tried at most for a method. */
const MOST = 9;
/** The least and the largest rate that is tried, as places in the grid. */
const [LEAST, LARGEST] = [-14, 2];

/** A rate that was tried. */
export interface Tried {
  /** The rate. */
  readonly rate: number;
  /** The deciding metric of the examples held out; undefined where the run diverged. */
  readonly value?: number;
}

/** Where a search stands. */
export interface Standing {
  /** Rates to try now; none where it has ended. */
  readonly next: readonly number[];
  /** The best rate so far; undefined if no run came to its end. */
  readonly best?: number;
  /** The end of the range at which the best one lies. */
  readonly edge?: "lowest" | "highest";
}

/** A rate of the grid 1, 3, 10, 30, ...: 1e(k/2) for even places, 3e((k-1)/2) for odd ones. */
export function rateAt(place: number): number {
  return Number(`${place % 2 === 0 ? 1 : 3}e${Math.floor(place / 2)}`);
}

/**
 * The place of the grid that is nearest to a rate.
 *
 * @param rate A rate
 */
export function placeOf(rate: number): number {
  return Math.min(LARGEST, Math.max(LEAST, Math.round(2 * Math.log10(rate))));
}

/**
 * What to try next: three rates around the first, then one beyond the end of the range at which the best one lies, until
 * it lies inside. Of equal ones the one nearest to the first counts as better, then the lower.
 *
 * @param start Where the search begins
 * @param tried What was tried
 * @param better Which way is better
 *
 * @example
 * ```ts
 * import { standingOf } from "./search.ts";
 * import { assertEquals } from "@std/assert";
 * const tried = [{ rate: 0.003, value: 0.7 }, { rate: 0.01, value: 0.8 }, { rate: 0.03, value: 0.9 }];
 * assertEquals(standingOf(0.008, [], "higher").next, [0.003, 0.01, 0.03]);
 * assertEquals(standingOf(0.008, tried, "higher"), { next: [0.1], best: 0.03, edge: "highest" });
 * assertEquals(standingOf(0.008, [...tried, { rate: 0.1 }], "higher"), { next: [], best: 0.03, edge: undefined });
 * ```
 */
export function standingOf(start: number, tried: readonly Tried[], better: Deciding["better"]): Standing {
  const place = placeOf(start);
  const first = [place - 1, place, place + 1].filter((each) => each >= LEAST && each <= LARGEST).map(rateAt);
  const open = first.filter((rate) => !tried.some((each) => each.rate === rate));
  if (open.length > 0) return { next: open };
  const places = tried.map(({ rate }) => placeOf(rate));
  const [lowest, highest] = [Math.min(...places), Math.max(...places)];
  const inOrder = order(better);
  const distance = (rate: number) => Math.abs(placeOf(rate) - place);
  const [best] = tried.filter(({ value }) => value !== undefined)
    .toSorted((a, b) => inOrder(a.value!, b.value!) || distance(a.rate) - distance(b.rate) || a.rate - b.rate);
  const at = best === undefined ? lowest : placeOf(best.rate);
  const edge = at === lowest ? "lowest" : at === highest ? "highest" : undefined;
  const beyond = edge === "lowest" ? at - 1 : at + 1;
  const isOver = edge === undefined || tried.length >= MOST || beyond < LEAST || beyond > LARGEST;
  return { next: isOver ? [] : [rateAt(beyond)], best: best?.rate, edge };
}

/** What a search needs. */
export interface SearchOptions {
  /** The method. */
  readonly method: string;
  /** The seed that it is done with. */
  readonly seed: number;
  /** Where the search begins. */
  readonly start: number;
  /** Runs cells, or says what came of them before. */
  readonly run: (cells: readonly Cell[]) => Promise<readonly CellResult[]>;
  /** Called with lines on what is done. */
  readonly note: (line: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** What came of a search. */
export interface Found {
  /** The method's rate; undefined if the search has not ended with one. */
  readonly rate?: number;
  /** Everything that was tried. */
  readonly results: readonly CellResult[];
}

/**
 * Searches a method's rate, round by round; what was run before counts.
 *
 * @param options See {@linkcode SearchOptions}
 */
export async function searchRate({ method, seed, start, run, note, signal }: SearchOptions): Promise<Found> {
  const results: CellResult[] = [];
  const standing = () => {
    const [better] = results.flatMap((each) => each.state === "finished" ? [each.summary.deciding.better] : []);
    const tried = results.map((result): Tried => ({ rate: result.cell.rate!, value: heldOutValue(result) }));
    return standingOf(start, tried, better ?? "lower");
  };
  for (let { next } = standing(); next.length > 0 && !signal.aborted;) {
    const cells = planCells({ methods: [method], seeds: [seed], rates: () => next })
      .map((cell): Cell => ({ ...cell, testing: false }));
    const found = await run(cells);
    results.push(...found.filter(({ state }) => state !== "pending"));
    // What a lower rate does not mend ends a search; so does an interrupt.
    if (found.some((result) => result.state === "failed" && !hasDiverged(result))) return { results };
    if (found.some(({ state }) => state === "pending")) return { results };
    const { next: more, best, edge } = standing();
    next = more;
    if (more.length > 0) {
      const where = best === undefined ? "every run diverged" : `rate ${best} is best and the ${edge} of those tried`;
      note(`${method}: ${where}; trying ${more.join(", ")}`);
    } else if (best === undefined) note(`${method}: every run diverged, down to rate ${rateAt(LEAST)}`);
    else note(`${method}: rate ${best}${edge === undefined ? "" : `, still the ${edge} of those tried`}`);
  }
  return { rate: signal.aborted ? undefined : standing().best, results };
}
