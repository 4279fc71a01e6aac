/**
 * Data sets that stay on the device: a batch then says which examples it has, and the step takes their rows.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { isSentToCard } from "../../dsl/compile/mod.ts";
import type { Objective } from "../../dsl/differentiate.ts";
import { nvidia } from "../../dsl/engine/nvidia.ts";
import { OneloraError } from "../../dsl/error.ts";
import type { Params } from "../../dsl/tree.ts";
import { gigabytes, roomThere } from "./room.ts";
import type { PreparedTask } from "./task.ts";
import type { Run } from "./run_settings.ts";

/** Name of the rows among a batch's tensors. */
export const ROWS = "rows";
/** Before the names of tensors of all examples. */
export const ALL = "all/";

/** Any function of parameters and a batch, given the rows that the batch asks for. */
function withRows<Result>(f: (params: Params, batch: Params) => Result): (params: Params, batch: Params) => Result {
  return (params, { [ROWS]: rows, ...batch }) =>
    f(
      params,
      rows === undefined ? batch : Object.fromEntries(
        Object.entries(batch).map(([name, tensor]) =>
          name.startsWith(ALL) ? [name.slice(ALL.length), tf.gather(tensor, rows as tf.Tensor1D)] : [name, tensor]
        ),
      ),
    );
}

/**
 * A loss whose batches may say which rows of all examples they have.
 *
 * @param objective The task's
 */
export function rowsObjective(
  objective: (params: Params, batch: Params) => Objective,
): (params: Params, batch: Params) => Objective {
  return withRows(objective);
}

/**
 * A task whose steps look up rows where a batch has them.
 *
 * @param prepared The task
 */
export function rowsTask(prepared: PreparedTask): PreparedTask {
  const { objective, whole } = prepared;
  return {
    ...prepared,
    objective: rowsObjective(objective),
    whole: whole && { ...whole, measure: withRows(whole.measure) },
  };
}

/** What is known of a data set before it is read. */
export interface DataSize {
  /** Bytes of all examples as they would be kept. */
  readonly bytes: number;
  /** Examples of a pass. */
  readonly examples: number;
}

/** Share of what there is that is taken without being asked for. */
const SHARE = 1 / 4;
/** What is taken without being asked for where it is not known what there is. */
const UNKNOWN = 1e9;
/** Numbers of a tensor at most: places in it are int32. */
const MOST = 2 ** 31 - 1;

/** Memory for data, in bytes, where it is known: free on the card with the least, or of this machine. */
function roomForData(): number | undefined {
  if (!isSentToCard()) return roomThere()?.bytes;
  const free = nvidia()?.cards.map(({ memory, used }) => memory - used) ?? [];
  return free.length === 0 ? undefined : Math.min(...free);
}

/**
 * Whether a run's training examples are to stay on the device.
 *
 * @param run What is asked for, and how often examples come
 * @param data How much there is, or why examples cannot stay, in words
 * @param room Bytes that there are, where that is known
 * @throws OneloraError (exit code 2) if it is asked for and cannot be
 */
export function staysOnDevice(
  { dataOnDevice = "auto", steps, epochs = 1, batchSize }: Pick<
    Run,
    "dataOnDevice" | "steps" | "epochs" | "batchSize"
  >,
  data: DataSize | string,
  room: number | undefined = roomForData(),
): boolean {
  if (dataOnDevice === "no") return false;
  const tooMuch = (bytes: number, most: number) =>
    bytes > most ? `${gigabytes(bytes)} of examples and ${gigabytes(most)} of memory` : undefined;
  const obstacle = typeof data === "string"
    ? data
    : data.bytes / 4 > MOST
    ? `${gigabytes(data.bytes)} of examples, more than a tensor can number`
    : room === undefined
    ? undefined
    : tooMuch(data.bytes, room);
  if (dataOnDevice === "yes" && obstacle !== undefined) {
    throw new OneloraError(
      { attempted: "keeping the data on the device (`dataOnDevice: yes`)", found: obstacle, allowed: "`auto` or `no`" },
      { exitCode: 2 },
    );
  }
  if (dataOnDevice === "yes") return true;
  if (obstacle !== undefined || !isSentToCard()) return false;
  const { bytes, examples } = data as DataSize;
  const passes = steps === undefined ? epochs : steps * batchSize / examples;
  return passes >= 2 && bytes <= (room === undefined ? UNKNOWN : SHARE * room);
}
