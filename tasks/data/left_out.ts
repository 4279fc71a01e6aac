/**
 * What of a folder is not used, gathered while it is read, so that it can be counted and named.
 *
 * @module
 */

/** Names that are shown of each kind. */
const SHOWN = 3;

/** A name from a disk without what would move a terminal's cursor. */
function printable(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}]/gu, "?").slice(0, 80);
}

/** Gathers names by why they are left out. */
export interface LeftOut {
  /** Notes an entry. */
  readonly add: (why: string, name: string) => void;
  /** A line for each reason: how many, and the first names. */
  readonly lines: () => readonly string[];
}

/**
 * Starts gathering.
 *
 * @param folder What the names are of
 * @param named Names that are shown of each kind (default 3)
 */
export function leavingOut(folder: string, named: number = SHOWN): LeftOut {
  const names = new Map<string, string[]>();
  return {
    add: (why, name) => {
      const all = names.get(why);
      if (all === undefined) names.set(why, [name]);
      else all.push(name);
    },
    lines: () =>
      [...names].map(([why, all]) => {
        const shown = all.slice(0, named).map(printable).join(", ");
        const more = all.length > named ? `, and ${(all.length - named).toLocaleString("en-US")} more` : "";
        return `left out of ${folder}: ${all.length.toLocaleString("en-US")} ${why} (${shown}${more})`;
      }),
  };
}
