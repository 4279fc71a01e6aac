/**
 * What a service that shows runs is to a run: opened once, given numbers of steps by tag, told how the run ended.
 *
 * @module
 */

/** A run as a service is told of it. */
export interface LoggedRun {
  /** Its name. */
  readonly name: string;
  /** Its settings, by the names that `config.json` has. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What the service called it in an earlier session of the same run. */
  readonly earlier?: string;
  /** Ends requests that have no answer yet. */
  readonly signal?: AbortSignal;
}

/** Numbers of a step, by tag as TensorBoard has them: `train/loss`, `evaluation/accuracy`. */
export interface Point {
  /** Steps done. */
  readonly step: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The numbers. */
  readonly values: Readonly<Record<string, number>>;
}

/** How a run ended. */
export type Ending = "finished" | "failed" | "interrupted";

/** A run at a service. */
export interface RunLog {
  /** What the service calls it. */
  readonly id: string;
  /** The page that shows it. */
  readonly page: string;
  /** Most points that one request takes. */
  readonly most: number;
  /** Sends points. */
  readonly send: (points: readonly Point[]) => Promise<void>;
  /** Says how the run ended, and what came of it. */
  readonly end: (how: Ending, results: Point) => Promise<void>;
}

/** A service whose place is settled. */
export interface Place {
  /** The place in full, without secrets: what tells it from others. */
  readonly place: string;
  /** Begins a run there, or goes on with an earlier one. */
  readonly open: (run: LoggedRun) => Promise<RunLog>;
}

/** A service. */
export interface LoggerKind {
  /** What may follow its name in `log`. */
  readonly form: string;
  /**
   * Settles where runs go: from what follows the name, and the service's own variables of the environment.
   *
   * @param where What follows the name, if something does
   * @param attempted What is being done, for the error line
   * @throws OneloraError (exit code 2) for a place that is none, and a key that is missing
   */
  readonly at: (where: string | undefined, attempted: string) => Place;
}
