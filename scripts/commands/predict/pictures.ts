/**
 * Which pictures to predict for, and where what is predicted goes.
 *
 * @module
 */
import { basename, dirname, extname, join } from "node:path";
import { OneloraError } from "../../../dsl/error.ts";
import { guarded } from "../../../dsl/files/file.ts";
import { makeFolder, writeWhole } from "../../../dsl/files/write.ts";
import { imageExtensions } from "../../../tasks/data/picture_formats.ts";
import { usage } from "../../cli/options.ts";

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
async function picturesIn(folder: string): Promise<readonly string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  const names = entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name)
    .filter((name) => !name.startsWith(".") && imageExtensions.includes(extname(name).toLowerCase()));
  if (names.length > 0) return names.sort().map((name) => join(folder, name));
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
 * @throws OneloraError for one that is not there, and a folder without pictures
 */
export function listPictures(given: string): Promise<readonly string[]> {
  const allowed = "a picture, several separated by commas, or a folder of pictures";
  return guarded(`opening ${given}`, allowed, async () => {
    const names = await lookAt(given) === undefined ? given.split(",").filter((name) => name !== "") : [given];
    const found: string[] = [];
    for (const name of names) {
      const info = await lookAt(name);
      if (info === undefined) throw new OneloraError({ attempted: `opening ${name}`, found: "no such file", allowed });
      found.push(...(info.isDirectory ? await picturesIn(name) : [name]));
    }
    return found;
  });
}

/** Where a picture's depth goes. */
export interface DepthFiles {
  /** The map of 16 bits. */
  readonly depth: string;
  /** The coloured picture. */
  readonly colour: string;
}

/**
 * Where the depth of each picture goes: `NAME-depth.png` in the working folder or a folder given, or for a single picture
 * the file given; the coloured picture's name ends in `-colour.png`.
 *
 * @param pictures The pictures
 * @param output A file that ends in `.png`, for one picture, or a folder
 * @throws OneloraError (exit code 2) for names that are no good
 */
export function depthFiles(pictures: readonly string[], output?: string): readonly DepthFiles[] {
  const isFile = output !== undefined && extname(output).toLowerCase() === ".png";
  if (output !== undefined && isFile !== (pictures.length === 1)) {
    throw usage(
      "choosing where depth goes",
      `--output ${output} for ${pictures.length} pictures`,
      [
        "a file that ends in .png for one picture",
        "a folder for several",
      ].join(", "),
    );
  }
  const stems = pictures.map((picture) =>
    isFile ? output.slice(0, -".png".length) : join(output ?? "", `${basename(picture, extname(picture))}-depth`)
  );
  const twice = stems.find((stem, i) => stems.indexOf(stem) !== i);
  if (twice !== undefined) {
    throw usage("choosing where depth goes", `${twice}.png twice`, "pictures of different names");
  }
  const files = stems.map((stem) => ({ depth: `${stem}.png`, colour: `${stem}-colour.png` }));
  const lost = files.flatMap(({ depth, colour }) => [depth, colour]).find((file) => pictures.includes(file));
  if (lost !== undefined) throw usage("choosing where depth goes", `${lost}, which is to be read`, "another name");
  return files;
}

/**
 * Writes a picture, and its folder if there is none.
 *
 * @param path Where
 * @param png What
 */
export async function writePicture(path: string, png: Uint8Array): Promise<void> {
  await makeFolder(dirname(path));
  await writeWhole(path, png);
}
