/**
 * Which pictures to predict for.
 *
 * @module
 */
import { extname, join } from "node:path";
import { OneloraError } from "../../../dsl/error.ts";
import { guarded } from "../../../dsl/files/file.ts";
import { leavingOut } from "../../../tasks/data/left_out.ts";
import { imageExtensions } from "../../../tasks/data/picture_formats.ts";
import { placesIn } from "../../cli/places.ts";

/** What lies at a path, if anything. */
async function lookAt(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    throw cause;
  }
}

/** The pictures of a folder in order of their names. */
async function picturesIn(folder: string, onNote: (line: string) => void): Promise<readonly string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  const files = entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name).sort();
  const left = leavingOut(folder);
  const names = files.filter((name) => {
    if (name.startsWith(".")) left.add("hidden", name);
    else if (imageExtensions.includes(extname(name).toLowerCase())) return true;
    else left.add("that do not end as pictures do", name);
    return false;
  });
  left.lines().forEach(onNote);
  if (names.length > 0) return names.map((name) => join(folder, name));
  throw new OneloraError({
    attempted: `looking for pictures in ${folder}`,
    found: "none",
    allowed: `files that end in ${imageExtensions.join(", ")}`,
  });
}

/**
 * The files that `--image` names.
 *
 * @param given A file, several separated by commas, or a folder
 * @param onNote Called with what of a folder is left out
 * @throws OneloraError for one that is not there, and a folder without pictures
 */
export function listPictures(given: string, onNote: (line: string) => void): Promise<readonly string[]> {
  const allowed = "a picture, several separated by commas, or a folder of pictures";
  return guarded(`opening ${given}`, allowed, async () => {
    const names = await placesIn(given);
    const found: string[] = [];
    for (const name of names) {
      const info = await lookAt(name);
      if (info === undefined) throw new OneloraError({ attempted: `opening ${name}`, found: "no such file", allowed });
      found.push(...(info.isDirectory ? await picturesIn(name, onNote) : [name]));
    }
    return found;
  });
}
