/**
 * Whether what is to be done with a model fits into the memory there is, found out before anything large is read.
 *
 * @module
 */
import type { BackendName } from "../../dsl/engine/interface.ts";
import { backendNames, engineKind, keptForms } from "../../dsl/engine/kinds.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { isBlockForm } from "../../dsl/blocks.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { OneloraError } from "../../dsl/error.ts";
import { isTrainable, type Layer, specs } from "../../dsl/layer.ts";
import { isGranted } from "../../dsl/permission.ts";
import { type Path, sizeOf } from "../../dsl/tree.ts";
import { formsOf, heldForms, type Holding } from "../../models/checkpoint/load.ts";
import type { Model } from "../../models/mod.ts";
import { NO_METHOD } from "./method.ts";
import type { Kept, Needs } from "./needs.ts";
import { partRows } from "./parts.ts";
import { planForward, planLoading, planTask } from "./plan.ts";
import type { BatchSize, PreparedTask, Run, TaskKind } from "./task.ts";

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

/** The memory there is for an engine that can address so much: the machine's, or its share that this process may take. */
function roomUnder(name: BackendName, most: number): Room {
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
 * @throws OneloraError naming the first that fits
 */
export function requireRoom(attempted: string, needed: number, room: Room, others: Iterable<Smaller>): void {
  if (needed <= room.bytes) return;
  let least: Smaller | undefined;
  for (const each of others) {
    const [, bytes, other = room] = each;
    if (bytes <= other.bytes) {
      least = each;
      break;
    }
  }
  const found = `${gigabytes(needed)} needed by plan, ${gigabytes(room.bytes)} ${room.whose}`;
  const allowed = least === undefined
    ? "a machine with more memory, a card, or a smaller model"
    : `what fits: ${least[0]} (${gigabytes(least[1])})`;
  throw new OneloraError({ attempted, found, allowed });
}

/** Whether a model is large enough to be planned. */
function isWorthAPlan(layer: Layer, room: Room): boolean {
  const parameters = Object.values(specs(layer)).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  return parameters >= WORTH_A_PLAN * room.bytes;
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
function hasBlocks(forms: Kept["forms"]): boolean {
  return [...forms?.values() ?? []].some(isBlockForm);
}

/** An engine that can address more, where it is the bound of the one in use that is hit. */
function roomier(room: Room): BackendName | undefined {
  const { name, most } = engineInUse();
  const other = backendNames.find((each) => engineKind(each).most === undefined);
  return room.bytes !== most || other === name ? undefined : other;
}

/** What engines keep of a model's file, by the engine. */
async function keepers(
  model: Model,
  layer: Layer,
  holding: Pick<Holding, "decoding">,
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
}

/**
 * What forward passes of a task take.
 *
 * @param kind The task
 * @param model The model
 * @param size How much each is given
 */
export function forwardNeeds(kind: TaskKind, model: Model, size: BatchSize): Needs {
  return (layer, kept) => planForward(kind, model, layer, { ...size, ...kept }).processBytes;
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
  { attempted, needs: needsOf, changes = [] }: Use = { attempted: `loading ${model.name}`, needs: () => () => 0 },
): Promise<void> {
  const room = roomThere();
  if (room === undefined || !isWorthAPlan(model.layer, room)) return;
  const [layer, needs] = [await layerOf(), await needsOf(model)];
  const { name, precisions, forms: known } = engineInUse();
  const other = roomier(room);
  const forms = await keepers(model, layer, { decoding: holding.decoding }, [name, other]);
  const isCompact = hasBlocks(forms({}, name));
  const bytes = (holding: Holding, backend: BackendName): number => {
    const kept: Kept = { backend, precision: holding.precision, forms: forms(holding, backend) };
    return Math.max(needs(layer, kept), planLoading(layer, kept));
  };
  const others = function* (): Generator<Smaller> {
    for (const [change, { precision, quantise }] of changes) {
      const isTaken = precision === holding.precision && quantise === holding.quantise;
      const lacks = precision !== undefined && !precisions.includes(precision) ||
        quantise !== undefined && (!known?.has(quantise) || isCompact || holding.quantise !== undefined);
      if (!isTaken && !lacks) yield [change, bytes({ ...holding, precision, quantise }, name)];
    }
    if (other !== undefined) yield [`--backend ${other}`, bytes(holding, other), roomUnder(other, Infinity)];
  };
  requireRoom(attempted, bytes(holding, name), room, others());
}

/** What a run keeps frozen weights as; tasks that do not keep them in other forms have float32. */
function holdingOf({ compact }: TaskKind, { precision, quantise }: Holding): Holding {
  return compact === undefined ? {} : { precision, quantise };
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
 * Gradients that a step in halves has in memory beside what a step takes: the engine's, the program's, and sums of shares on the way.
 * Full fine-tuning of ViT-B, 10 images in 4 shares, took 3.2 of them more than the plan of a step.
 */
const GRADIENTS = 4;

/** Bytes of a gradient. */
function gradientBytes(layer: Layer): number {
  const isTrained = isTrainable(layer);
  const trained = Object.entries(specs(layer)).filter(([path]) => isTrained(path));
  return trained.reduce((sum, [, { shape }]) => sum + 4 * sizeOf(shape), 0);
}

/**
 * Refuses a run whose steps do not fit into memory.
 *
 * @param kind The task
 * @param prepared The task, opened
 * @param run The run
 * @param isInHalves Whether its steps are taken in halves, between which gradients are added up (default false)
 * @throws OneloraError saying what is needed, what there is, and what would fit
 */
export async function requireRoomToTrain(
  kind: TaskKind,
  prepared: PreparedTask,
  run: Run,
  isInHalves: boolean = false,
): Promise<void> {
  const room = roomThere();
  const { model, layer, longest = 0, picture, evaluations } = prepared;
  if (room === undefined || !isWorthAPlan(layer, room)) return;
  // It takes no steps.
  if (run.adapter === NO_METHOD) return await requireRoomToUse(model, () => layer, holdingOf(kind, run));
  const { name, forms: known } = engineInUse();
  const other = roomier(room);
  const forms = await keepers(model, layer, {}, [name, other]);
  const isCompact = hasBlocks(forms({}, name));
  const held = await kind.holds?.(model) ?? 0;
  const needs = (sized: Sized, backend: BackendName): number => {
    const kept: Kept = { backend, precision: sized.precision, forms: forms(holdingOf(kind, sized), backend) };
    const { gradientCheckpointing } = sized;
    const size = { batch: partRows(sized), length: longest, picture };
    const step = planTask(kind, model, layer, { ...size, ...kept, gradientCheckpointing });
    const between = isInHalves ? GRADIENTS * gradientBytes(layer) : 0;
    return Math.max(planLoading(layer, kept), step.processBytes + between + held, evaluations?.(layer, kept) ?? 0);
  };
  const others = function* (): Generator<Smaller> {
    const canQuantise = kind.compact === true && run.quantise === undefined && !isCompact && known?.has("nf4") === true;
    for (const [change, sized] of smaller(run, canQuantise)) yield [change, needs(sized, name)];
    if (other !== undefined) yield [`--backend ${other}`, needs(run, other), roomUnder(other, Infinity)];
  };
  requireRoom(`training ${run.model} with ${run.adapter}`, needs(run, name), room, others());
}
