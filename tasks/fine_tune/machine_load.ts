/**
 * How busy the machine was with other things, without which times do not compare.
 *
 * @module
 */
import { builtin } from "../../dsl/host.ts";
import { isGranted } from "../../dsl/permission.ts";

/** Milliseconds of all processors since the machine started, and those of this process. */
function times(): { readonly busy: number; readonly all: number; readonly own: number } {
  const spent = builtin("node:os").cpus().map(({ times }) => times);
  const busy = spent.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0);
  const { user, system } = builtin("node:process").cpuUsage();
  return { busy, all: spent.reduce((sum, { idle }) => sum + idle, busy), own: (user + system) / 1000 };
}

/**
 * Begins to watch.
 *
 * @returns What says which share of the processors' time other processes have taken since, from 0 to 1; undefined where
 * that may not be asked (`--allow-sys=cpus`) or is not known
 */
export function watchLoad(): () => number | undefined {
  const isAllowed = isGranted({ name: "sys", kind: "cpus" });
  const begun = isAllowed ? times() : undefined;
  return () => {
    if (begun === undefined) return undefined;
    const now = times();
    const all = now.all - begun.all;
    return all > 0 ? Math.max(0, now.busy - begun.busy - (now.own - begun.own)) / all : undefined;
  };
}
