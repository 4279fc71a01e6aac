/**
 * Whether what is to be done with a model fits into the memory there is, found out before anything large is read.
 *
 * @module
 */
import { bytesOf } from "../../dsl/compile/mod.ts";
import type { BackendName } from "../../dsl/engine/interface.ts";
import { backendNames, engineKind, keptForms } from "../../dsl/engine/kinds.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { isBlockForm } from "../../dsl/blocks.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import { type Layer, specs } from "../../dsl/layer.ts";
import { isGranted } from "../../dsl/permission.ts";
import { type Path, sizeOf } from "../../dsl/tree.ts";
import { formsOf, heldForms, type Holding } from "../../models/checkpoint/forms.ts";
import type { Model } from "../../models/mod.ts";
import type { BatchSize, Kept, Needs } from "./needs.ts";
import { planForward, planLoading } from "./plan.ts";
import type { TaskKind } from "./task.ts";

/** Where a container's bound is written, of the newer and the older kind. */
const BOUNDS = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/** Models of a smaller share of the memory there is are not planned: it takes as long as some of their steps. */
const WORTH_A_PLAN = 1 / 100;

/** Nor are steps whose examples, at about the bytes of a small model each, come to a smaller share. */
const WORTH_FOR_ITS_EXAMPLES = 1 / 10;

/** What is proposed has room for a plan that is off by as much as plans were measured to be. */
const SPARE = 1.05;

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

/** The memory there is for an engine that can address so much: the machine's, or its share that this process may take. */
export function roomUnder(name: BackendName, most: number): Room {
  const { total } = Deno.systemMemoryInfo();
  const bound = Math.min(...BOUNDS.map((path) => isGranted({ name: "read", path }) ? boundOf(path) : Infinity));
  const rooms: readonly Room[] = [
    { bytes: total, whose: "of this machine" },
    { bytes: bound, whose: "that this process may take" },
    { bytes: most, whose: `that ${name} can address` },
  ];
  return rooms.reduce((least, each) => each.bytes < least.bytes ? each : least);
}

/** The memory there is: the machine's, or its share that this process may take. Unknown on a card, and without permission. */
export function roomThere(): Room | undefined {
  const { device, most = Infinity, name } = engineInUse();
  if (device.kind === "gpu" || !isGranted({ name: "sys", kind: "systemMemoryInfo" })) return undefined;
  return roomUnder(name, most);
}

/** Bytes in words. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toPrecision(3)} GB`;
}

/** A change that makes something smaller, what it takes then, and where it has other room, that. */
export type Smaller = readonly [change: string, needed: number, room?: Room];

/**
 * Refuses what does not fit.
 *
 * @param attempted What needs it
 * @param needed Bytes that it takes by plan
 * @param room The memory there is
 * @param others Changes that make it smaller, the smallest change first, and what it takes with them
 * @param otherwise What is allowed where none of them fits (default: a smaller model)
 * @throws OneloraError naming the first that fits, with 5 % to spare
 */
export function requireRoom(
  attempted: string,
  needed: number,
  room: Room,
  others: Iterable<Smaller>,
  otherwise: string = "a smaller model",
): void {
  if (needed <= room.bytes) return;
  let least: Smaller | undefined;
  for (const each of others) {
    const [, bytes, other = room] = each;
    if (SPARE * bytes <= other.bytes) {
      least = each;
      break;
    }
  }
  const found = `${gigabytes(needed)} needed by plan, ${gigabytes(room.bytes)} ${room.whose}`;
  const allowed = least === undefined
    ? `a machine with more memory, a card, or ${otherwise}`
    : `what fits: ${least[0]} (${gigabytes(least[1])})`;
  throw new OneloraError({ attempted, found, allowed });
}

/**
 * Whether a model, or what is computed of so many examples at a time, is large enough to be planned.
 *
 * @param layer The model
 * @param room The memory there is
 * @param rows Examples at a time (default 1)
 */
export function isWorthAPlan(layer: Layer, room: Room, rows: number = 1): boolean {
  const parameters = Object.values(specs(layer)).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  return parameters >= WORTH_A_PLAN * room.bytes || parameters * rows >= WORTH_FOR_ITS_EXAMPLES * room.bytes;
}

/**
 * What an engine keeps parameters as: as is asked for, but what its file has in blocks stays so.
 *
 * @param layer The model
 * @param asTheyAre What its file has in blocks, and what stays as its file has it while texts are continued
 */
export function keeper(
  layer: Layer,
  asTheyAre: ReadonlyMap<Path, StoredForm>,
): (holding: Holding, backend: BackendName) => Kept["forms"] {
  const blocks = [...asTheyAre].filter(([, form]) => isBlockForm(form));
  return (holding, backend) => {
    const kept = keptForms(backend, new Map([...asTheyAre, ...formsOf(layer, holding), ...blocks]));
    return kept.size === 0 ? undefined : kept;
  };
}

/** Whether something is kept in blocks, as its file has it. */
export function hasBlocks(forms: Kept["forms"]): boolean {
  return [...forms?.values() ?? []].some(isBlockForm);
}

/** An engine that can address more, where it is the bound of the one in use that is hit. */
export function roomier(room: Room): BackendName | undefined {
  const { name, most } = engineInUse();
  const other = backendNames.find((each) => engineKind(each).most === undefined);
  return room.bytes !== most || other === name ? undefined : other;
}

/** What engines keep of a model's file, by the engine. */
export async function keepers(
  model: Model,
  layer: Layer,
  holding: Pick<Holding, "reading">,
  engines: readonly (BackendName | undefined)[],
): Promise<(holding: Holding, backend: BackendName) => Kept["forms"]> {
  const made = new Map<BackendName, ReturnType<typeof keeper>>();
  for (const name of engines) {
    if (name !== undefined) made.set(name, keeper(layer, await heldForms(model, layer, holding, engineKind(name))));
  }
  return (holding, backend) => made.get(backend)?.(holding, backend);
}

/** What is to be done with a model. */
export interface Use {
  /** In words, e.g. `evaluating vit-base`. */
  readonly attempted: string;
  /** What it takes of the model that is opened; asked only where that is worth planning. */
  readonly needs: (model: Model) => Needs | Promise<Needs>;
  /** Settings that would take less, in words, and what they are. */
  readonly changes?: readonly (readonly [change: string, holding: Holding])[];
  /** Fewer examples at a time, in words, and what that takes: the most that fit are proposed before any change of settings. */
  readonly fewer?: (model: Model) => Promise<readonly (readonly [change: string, needs: Needs])[]>;
}

/**
 * What forward passes of a task take.
 *
 * @param kind The task
 * @param model The model
 * @param size How much each is given
 */
export function forwardNeeds(kind: TaskKind, model: Model, size: BatchSize): Needs {
  return (layer, kept) => {
    // The next one is prepared meanwhile.
    const given = Object.values(kind.step(model, layer, size).batch);
    const prepared = given.reduce((sum, type) => sum + bytesOf(type), 0);
    return planForward(kind, model, layer, { ...size, ...kept }).processBytes + prepared;
  };
}

/**
 * Refuses to load a model where what is to be done with it does not fit into memory.
 *
 * @param model The model
 * @param layerOf Its layer, with an adapter or not
 * @param holding What weights are kept as
 * @param use What is done with it (default: nothing but loading it)
 * @throws OneloraError saying what is needed, what there is, and what would fit
 */
export async function requireRoomToUse(
  model: Model,
  layerOf: () => Layer | Promise<Layer>,
  holding: Holding,
  { attempted, needs: needsOf, changes = [], fewer }: Use = {
    attempted: `loading ${model.name}`,
    needs: () => () => 0,
  },
): Promise<void> {
  const room = roomThere();
  if (room === undefined || !isWorthAPlan(model.layer, room)) return;
  const [layer, needs] = [await layerOf(), await needsOf(model)];
  const { name, precisions, forms: known } = engineInUse();
  const other = roomier(room);
  const forms = await keepers(model, layer, { reading: holding.reading }, [name, other]);
  const isCompact = hasBlocks(forms({}, name));
  const bytes = (holding: Holding, backend: BackendName, its: Needs = needs): number => {
    const kept: Kept = { backend, precision: holding.precision, forms: forms(holding, backend) };
    return Math.max(its(layer, kept), planLoading(layer, kept));
  };
  const needed = bytes(holding, name);
  if (needed <= room.bytes) return;
  const smaller = await fewer?.(model) ?? [];
  const others = function* (): Generator<Smaller> {
    for (const [change, its] of smaller) yield [change, bytes(holding, name, its)];
    for (const [change, { precision, quantise }] of changes) {
      const isTaken = precision === holding.precision && quantise === holding.quantise;
      const lacks = precision !== undefined && !precisions.includes(precision) ||
        quantise !== undefined && (!known?.has(quantise) || isCompact || holding.quantise !== undefined);
      if (!isTaken && !lacks) yield [change, bytes({ ...holding, precision, quantise }, name)];
    }
    if (other !== undefined) yield [`--backend ${other}`, bytes(holding, other), roomUnder(other, Infinity)];
  };
  requireRoom(attempted, needed, room, others());
}
