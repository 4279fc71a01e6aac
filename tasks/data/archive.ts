/**
 * Members of tar archives, gzipped or not, read in one pass without unpacking them to disk.
 *
 * @module
 */

import type { ReadEntry } from "tar";
import manifest from "../../deno.json" with { type: "json" };
import { firstLine, OneloraError } from "../../dsl/error.ts";

/** Bytes of all wanted members together; no published data set that is read this way has a quarter of it. */
const MOST = 2 ** 30;

/**
 * The wanted files of an archive by the last part of their paths. The archive is read in pieces; memory holds the wanted
 * files alone.
 *
 * @param path Where it lies
 * @param wanted Whether a file of this name is
 * @throws OneloraError for what is no such archive or is cut short, and for wanted files of more than 1 GiB
 */
export async function readArchive(
  path: string,
  wanted: (name: string) => boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const allowed = "an intact .tar.gz or .tar archive";
  let total = 0;
  let whole = true;
  try {
    // Only users of archives need the library and the permissions that it asks for when it is loaded.
    // By its whole name, so that no bundler puts it into a page.
    const specifier: string = manifest.imports.tar;
    const { list } = await import(specifier) as typeof import("tar");
    await list({
      file: path,
      strict: true,
      onReadEntry: (entry: ReadEntry) => {
        const name = entry.path.slice(entry.path.lastIndexOf("/") + 1);
        if (!["File", "OldFile", "ContiguousFile"].includes(entry.type) || !wanted(name)) return;
        const parts: Uint8Array[] = [];
        whole &&= (total += entry.size) <= MOST;
        // What is too large flows by unkept.
        if (!whole) return;
        entry.on("data", (part: Uint8Array) => parts.push(part));
        entry.on("end", () => {
          const bytes = new Uint8Array(entry.size);
          let at = 0;
          for (const part of parts.splice(0)) {
            bytes.set(part, at);
            at += part.length;
          }
          files.set(name, bytes);
        });
      },
    });
  } catch (cause) {
    throw new OneloraError({ attempted: `reading ${path}`, found: firstLine(cause), allowed }, { cause });
  }
  if (whole) return files;
  throw new OneloraError({ attempted: `reading ${path}`, found: `${total} bytes`, allowed: `at most ${MOST}` });
}
