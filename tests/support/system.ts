/**
 * What systems do not have in common.
 *
 * @module
 */

/** Whether this is Windows, which has no devices among its files, reserves characters of names, and links by permission only. */
export const isWindows: boolean = Deno.build.os === "windows";

/** Whether `a` and `A` are two files, which they are neither on Windows nor on a Mac's usual disk. */
export function tellsCase(): boolean {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/a`, "");
    Deno.writeTextFileSync(`${folder}/A`, "");
    return Array.from(Deno.readDirSync(folder)).length === 2;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
