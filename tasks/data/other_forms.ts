/**
 * Folders that people take for class folders, and that hold their pictures in files of another kind.
 *
 * @module
 */
import { listFolder } from "./files.ts";

/** Files that hold pictures, and what is done with them. */
const OTHER_FORMS: readonly (readonly [end: string, form: (folder: string) => string])[] = [
  [".parquet", (folder) => `parquet:${folder}, for the Parquet files in it`],
  [".arrow", () => "Parquet files, which Dataset.to_parquet of Python's `datasets` writes: parquet:DIR"],
  [".tar", () => "the folders that the archive in it has, unpacked"],
  [".zip", () => "the folders that the archive in it has, unpacked"],
];

/**
 * What to do with a folder that holds pictures in files of another kind; nothing for one that does not.
 *
 * @param folder The folder
 * @param inside Names of folders in it
 */
export async function otherForm(folder: string, inside: readonly string[]): Promise<string | undefined> {
  for (const at of [folder, ...inside.map((name) => `${folder}/${name}`)]) {
    const names = (await listFolder(at)).filter(({ isFile }) => isFile).map(({ name }) => name.toLowerCase());
    for (const [end, form] of OTHER_FORMS) if (names.some((name) => name.endsWith(end))) return form(folder);
  }
  return undefined;
}
