/**
 * Whether a run fits into the memory there is, found out before anything large is read.
 *
 * @module
 */
import { engineInUse } from "../../dsl/engine/mod.ts";
import { OneloraError } from "../../dsl/error.ts";
import { specs } from "../../dsl/layer.ts";
import { isGranted } from "../../dsl/permission.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { formsOf, heldForms, type Holding } from "../../models/checkpoint/load.ts";
import { partRows } from "./parts.ts";
import { planTask } from "./plan.ts";
import type { PreparedTask, Run, TaskKind } from "./task.ts";

/** Where a container's bound is written, of the newer and the older kind. */
const BOUNDS = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/** Models of a smaller share of the memory there is are not planned: it takes as long as some of their steps. */
const WORTH_A_PLAN = 1 / 100;

/** Memory that a run may take. */
export interface Room {
  /** Bytes. */
  readonly bytes: number;
  /** Whose, in words. */
  readonly whose: string;
}

function boundOf(path: string): number {
  try {
    const bytes = Number(Deno.readTextFileSync(path).trim());
    return bytes > 0 ? bytes : Infinity;
  } catch {
    return Infinity;
  }
}

/** The memory there is: the machine's, or its share that this process may take. Unknown on a card, and without permission. */
export function roomThere(): Room | undefined {
  const { device, most = Infinity, name } = engineInUse();
  if (device.kind === "gpu" || !isGranted({ name: "sys", kind: "systemMemoryInfo" })) return undefined;
  const { total } = Deno.systemMemoryInfo();
  const bound = Math.min(...BOUNDS.map((path) => isGranted({ name: "read", path }) ? boundOf(path) : Infinity));
  const rooms: readonly Room[] = [
    { bytes: total, whose: "of this machine" },
    { bytes: bound, whose: "that this process may take" },
    { bytes: most, whose: `that ${name} can address` },
  ];
  return rooms.reduce((least, each) => each.bytes < least.bytes ? each : least);
}

/** Bytes in words. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toPrecision(3)} GB`;
}

/**
 * Refuses what does not fit.
 *
 * @param attempted What needs it
 * @param needed Bytes that it takes by plan
 * @param room The memory there is
 * @param others Changes that make it smaller, the smallest change first, and what it takes with them
 * @throws OneloraError naming the first that fits
 */
export function requireRoom(
  attempted: string,
  needed: number,
  room: Room,
  others: Iterable<readonly [change: string, needed: number]>,
): void {
  if (needed <= room.bytes) return;
  let least: readonly [change: string, needed: number] | undefined;
  for (const [change, bytes] of others) {
    if (bytes <= room.bytes) {
      least = [change, bytes];
      break;
    }
  }
  const found = `${gigabytes(needed)} needed by plan, ${gigabytes(room.bytes)} ${room.whose}`;
  const allowed = least === undefined
    ? "a machine with more memory, or a smaller model"
    : `what fits: ${least[0]} (${gigabytes(least[1])})`;
  throw new OneloraError({ attempted, found, allowed });
}

/** What of a run decides its memory. */
type Sized = Pick<Run, "precision" | "quantise" | "batchSize" | "accumulate" | "gradientCheckpointing">;

/** Changes of a run that make it smaller: each alone, then one upon the other. */
function* smaller(run: Sized, canQuantise: boolean): Generator<readonly [change: string, Sized]> {
  const { precisions } = engineInUse();
  const changes: (readonly [string, Partial<Sized>])[] = [];
  const half = precisions.find((each) => each !== "float32");
  if (half !== undefined && run.precision !== half) changes.push([`--precision ${half}`, { precision: half }]);
  if (!run.gradientCheckpointing) changes.push(["--gradient-checkpointing", { gradientCheckpointing: true }]);
  if ((run.accumulate ?? 1) < run.batchSize) {
    changes.push([`--accumulate ${run.batchSize}`, { accumulate: run.batchSize }]);
  }
  if (canQuantise) {
    changes.push(["--quantise nf4", { quantise: "nf4" }]);
  }
  for (const [change, part] of changes) yield [change, { ...run, ...part }];
  let [words, all] = ["", run];
  for (const [change, part] of changes) {
    [words, all] = [`${words} ${change}`.trim(), { ...all, ...part }];
    yield [words, all];
  }
}

/**
 * Refuses a run whose steps do not fit into memory.
 *
 * @param kind The task
 * @param prepared The task, opened
 * @param run The run
 * @throws OneloraError saying what is needed, what there is, and what would fit
 */
export async function requireRoomToTrain(kind: TaskKind, prepared: PreparedTask, run: Run): Promise<void> {
  const room = roomThere();
  const { model, layer, longest = 0 } = prepared;
  const parameters = Object.values(specs(layer)).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  if (room === undefined || parameters < WORTH_A_PLAN * room.bytes) return;
  // What its file has in blocks stays so, whatever is asked for.
  const blocks = await heldForms(model, layer, {});
  const needs = (sized: Sized): number => {
    const holding: Holding = kind.compact === undefined ? {} : sized;
    return planTask(kind, model, layer, {
      batch: partRows(sized),
      length: longest,
      precision: sized.precision,
      gradientCheckpointing: sized.gradientCheckpointing,
      backend: engineInUse().name,
      forms: new Map([...formsOf(layer, holding), ...blocks]),
    }).processBytes;
  };
  const others = function* (): Generator<readonly [string, number]> {
    const canQuantise = kind.compact === true && run.quantise === undefined && blocks.size === 0 &&
      engineInUse().hold !== undefined;
    for (const [change, sized] of smaller(run, canQuantise)) yield [change, needs(sized)];
  };
  requireRoom(`training ${run.model} with ${run.adapter}`, needs(run), room, others());
}
