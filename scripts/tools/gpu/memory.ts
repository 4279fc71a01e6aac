/**
 * What XLA plans a compiled function to take, read from its dump (`--xla_dump_to`).
 *
 * @module
 */

/** Bytes that a buffer assignment adds up to: `Total bytes used: 123 (0.1KiB)`, or the sum of its allocations. */
function assignedBytes(text: string): number | undefined {
  const total = /Total bytes used: (\d+)/i.exec(text) ?? /total bytes\s*[:=]\s*(\d+)/i.exec(text);
  if (total !== null) return Number(total[1]);
  const sizes = [...text.matchAll(/^allocation \d+: .*?size (\d+)/gm)].map(([, size]) => Number(size));
  return sizes.length === 0 ? undefined : sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * The largest of the plans in a dump: arguments, results and everything between.
 *
 * @param folder Where XLA wrote; none if it did not
 */
export async function plannedBytes(folder: string): Promise<number | undefined> {
  let largest: number | undefined;
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (!name.endsWith("buffer-assignment.txt")) continue;
      const bytes = assignedBytes(await Deno.readTextFile(`${folder}/${name}`));
      if (bytes !== undefined) largest = Math.max(bytes, largest ?? 0);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return largest;
}
