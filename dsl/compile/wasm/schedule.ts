/**
 * Steps in groups: those of a group run side by side, and the groups one after the other.
 *
 * @module
 */
import { bytesOf } from "../program.ts";
import { type Places, placesOf } from "../arena.ts";
import type { Root } from "../roots.ts";
import type { Step, TaskStep } from "./steps.ts";

/** Groups that a small step may go back by: what it makes lives that much longer. */
const BACK = 64;

/** A step of the calling thread. */
export type OwnStep = Exclude<Step, TaskStep>;

/** Tasks that run side by side, or one step of the calling thread. */
export type Group = readonly TaskStep[] | OwnStep;

function isTask(step: Step): step is TaskStep {
  return "task" in step;
}

/**
 * Puts every task into a group after those that make what it reads: into the last one or, if it is a single call, into the
 * first that it can be in. Steps of the calling thread stay where they are.
 *
 * @param steps The steps
 * @param over Memory that is written over, by the results that are: whoever reads it does so before
 */
export function groupsOf(steps: readonly Step[], over: ReadonlyMap<number, number> = new Map()): readonly Group[] {
  const groups: (TaskStep[] | OwnStep)[] = [];
  const ready = new Map<number, number>();
  const free = new Map<number, number>();
  const read = (roots: readonly number[], group: number) => {
    for (const root of roots) free.set(root, Math.max(free.get(root) ?? 0, group + 1));
  };
  let fence = 0;
  for (const step of steps) {
    if (!isTask(step)) {
      groups.push(step);
      fence = groups.length;
      for (const root of step.writes) ready.set(root, fence);
      read(step.reads, fence - 1);
      continue;
    }
    const { task: { chunks }, reads, writes } = step;
    if (chunks.length === 0) continue;
    const made = reads.reduce((latest, root) => Math.max(latest, ready.get(root) ?? 0), fence);
    const first = writes.reduce((latest, root) => Math.max(latest, free.get(over.get(root) ?? -1) ?? 0), made);
    const last = groups.length - 1;
    const at = chunks.length === 1 ? Math.max(first, last - BACK) : Math.max(first, last);
    if (at >= groups.length || !Array.isArray(groups[at])) {
      groups.push([step]);
    } else (groups[at] as TaskStep[]).push(step);
    const own = Math.min(at, groups.length - 1);
    for (const root of writes) ready.set(root, Math.max(ready.get(root) ?? 0, own + 1));
    read(reads, own);
  }
  // The longest first: what comes last should be short.
  return groups.map((group) =>
    Array.isArray(group) ? [...group].sort((a, b) => b.task.chunks.length - a.task.chunks.length) : group
  );
}

/**
 * Places for the roots that live within a run.
 *
 * @param roots All roots
 * @param groups When what is touched
 * @returns Their offsets, by root
 */
export function planArena(
  roots: readonly Root[],
  groups: readonly Group[],
): Pick<Places, "bytes"> & { readonly offsets: ReadonlyMap<number, number> } {
  const lives = new Map<number, { from: number; to: number }>();
  groups.forEach((group, at) => {
    for (const { reads, writes } of [group].flat() as readonly Step[]) {
      for (const root of [...reads, ...writes]) {
        if (roots[root].place !== "arena") continue;
        const life = lives.get(root);
        if (life === undefined) lives.set(root, { from: at, to: at });
        else life.to = at;
      }
    }
  });
  const all = [...lives];
  const { offsets, bytes } = placesOf(all.map(([root, life]) => ({ ...life, bytes: bytesOf(roots[root].type) })));
  return { bytes, offsets: new Map(all.map(([root], i) => [root, offsets[i]])) };
}
