/**
 * Steps of several contenders measured in turn: ours, theirs, ours, theirs. Ratios are of measurements made one after
 * the other.
 *
 * @module
 */
import { OneloraError } from "../../../dsl/error.ts";
import type { FamilyJob } from "./family_job.ts";
import type { StepAnswer, StepJob } from "./job.ts";
import { median, type Spread, spread } from "./statistics.ts";

/** A job of any kind that takes steps. */
type AnyJob = StepJob | FamilyJob;

/** Who is measured. */
export interface Contender<Job extends AnyJob = StepJob> {
  /** Name. */
  readonly name: string;
  /** Whether it takes part; it always does without. */
  readonly takesPart?: (job: Job) => boolean;
  /** Measures one process. */
  readonly measure: (job: Job) => Promise<StepAnswer>;
}

/** What is measured: a job under the model's name. */
export interface Case<Job extends AnyJob = StepJob> {
  /** The model's name. */
  readonly model: string;
  /** The job. */
  readonly job: Job;
}

/** What came of one contender. */
export interface Measured {
  /** Its name. */
  readonly name: string;
  /** What computed, in words. */
  readonly engine: string;
  /** Seconds of a step. */
  readonly seconds: Spread;
  /** Peak memory of a process, what it had before any weight was loaded excepted. */
  readonly bytes: Spread;
  /** Losses of the first round, one a step. */
  readonly losses: readonly number[];
}

/** The first contender against another. */
export interface Ratios {
  /** The other's name. */
  readonly to: string;
  /** Of the step's time, one for each round. */
  readonly seconds: Spread;
  /** Of peak memory, one for each round. */
  readonly bytes: Spread;
  /**
   * Largest relative difference of the losses, where both started from the same weights: of all steps, or of the first
   * alone where the method starts from random numbers.
   */
  readonly lossDifference?: number;
}

/** What came of one case. */
export interface CaseResult {
  /** The model's name. */
  readonly model: string;
  /** Method. */
  readonly method: string;
  /** Images a step. */
  readonly batch: number;
  /** Precision. */
  readonly precision: string;
  /** Contenders that were measured. */
  readonly measured: readonly Measured[];
  /** The first contender against each other one. */
  readonly ratios: readonly Ratios[];
  /** Contenders that failed, and why. */
  readonly failed: Readonly<Record<string, string>>;
}

/** Methods whose parameters all start from the model or from zero. */
const DETERMINISTIC: readonly string[] = ["1lora", "bitfit", "all"];

/** Bytes that a process took. */
export function takenBytes({ peakBytes, baseBytes }: StepAnswer): number {
  return peakBytes - baseBytes;
}

function lossDifference({ folder, method }: AnyJob, ours: StepAnswer, theirs: StepAnswer): number | undefined {
  if (folder === undefined) return undefined;
  const steps = DETERMINISTIC.includes(method) ? ours.losses.length : 1;
  return Math.max(
    ...ours.losses.slice(0, steps).map((loss, i) => Math.abs(loss - theirs.losses[i]) / Math.abs(theirs.losses[i])),
  );
}

/** Answers of one case, by contender: one a round. */
type Answers = Map<string, StepAnswer[]>;

function resultOf(
  { model, job }: Case<AnyJob>,
  answers: Answers,
  failed: Readonly<Record<string, string>>,
): CaseResult {
  const [first, ...others] = answers;
  const hasFinished = ([name]: readonly [string, unknown]) => failed[name] === undefined;
  const measured = [...answers].filter(hasFinished).map(([name, rounds]): Measured => ({
    name,
    engine: rounds[0].engine,
    seconds: spread(rounds.flatMap(({ seconds }) => seconds)),
    bytes: spread(rounds.map(takenBytes)),
    losses: rounds[0].losses,
  }));
  const comparable = hasFinished(first) ? others.filter(hasFinished) : [];
  const ratios = comparable.map(([to, theirs]): Ratios => ({
    to,
    seconds: spread(first[1].map(({ seconds }, i) => median(seconds) / median(theirs[i].seconds))),
    bytes: spread(first[1].map((ours, i) => takenBytes(ours) / takenBytes(theirs[i]))),
    lossDifference: lossDifference(job, first[1][0], theirs[0]),
  }));
  const { method, batch, precision } = job;
  return { model, method, batch, precision, measured, ratios, failed };
}

/**
 * Measures cases: in every round every case, in every case every contender. A contender that fails is left out of the
 * case from then on.
 *
 * @param cases What is measured
 * @param contenders Who is measured; ratios are the first's to the others'
 * @param rounds How many times
 * @param note Called for each measurement
 */
export async function measureCases<Job extends AnyJob>(
  cases: readonly Case<Job>[],
  contenders: readonly Contender<Job>[],
  rounds: number,
  note: (line: string) => void,
): Promise<readonly CaseResult[]> {
  const parties = cases.map(({ job }) => contenders.filter(({ takesPart }) => takesPart?.(job) ?? true));
  const answers = parties.map((party): Answers => new Map(party.map(({ name }) => [name, []])));
  const failed = cases.map((): Record<string, string> => ({}));
  const all = rounds * parties.flat().length;
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [i, { model, job }] of cases.entries()) {
      for (const { name, measure } of parties[i]) {
        const what = `[${++done}/${all}] ${model}, batch ${job.batch}, ${job.method}, ${job.precision}, ${name}`;
        if (failed[i][name] !== undefined) continue;
        try {
          const answer = await measure(job);
          answers[i].get(name)!.push(answer);
          note(`${what}: ${median(answer.seconds).toFixed(3)} s, ${Math.round(takenBytes(answer) / 1e6)} MB`);
        } catch (error) {
          if (!(error instanceof OneloraError)) throw error;
          failed[i][name] = error.problem.found;
          note(`${what}: ${error.problem.found}`);
        }
      }
    }
  }
  return cases.map((each, i) => resultOf(each, answers[i], failed[i]));
}
