/**
 * A run's `report.html`.
 *
 * @module
 */
import { writeWhole } from "../../dsl/files/write.ts";
import { readRunFolder } from "./folder.ts";
import { page } from "./page.ts";

/** Name of the page in a run's folder. */
export const REPORT = "report.html";

/**
 * Writes `report.html` into a run's folder, from what is in it: `config.json`, `metrics.jsonl`, `summary.json`, pictures
 * with their captions, texts, and `evaluation.json` if what `evaluate --json` prints is kept there. The page needs no other
 * file and no network; the same folder gives the same bytes.
 *
 * @param folder The run's folder
 * @throws OneloraError if it is none, or cannot be written
 *
 * @example
 * ```ts
 * import { writeReport } from "@onelora/onelora/tasks";
 * import { assert } from "@std/assert";
 * const folder = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${folder}/config.json`, `{ "model": "vit-micro", "adapter": "1lora", "data": "mnist" }`);
 * await writeReport(folder);
 * assert((await Deno.readTextFile(`${folder}/report.html`)).includes("vit-micro with 1lora on mnist"));
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export async function writeReport(folder: string): Promise<void> {
  const path = `${folder}/${REPORT}`;
  const html = page(await readRunFolder(folder));
  await writeWhole(path, html);
}
