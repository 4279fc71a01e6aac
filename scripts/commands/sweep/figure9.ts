/**
 * Figure 9 in micro size as a part of `--paper all`.
 *
 * @module
 */
import { writeWhole } from "../../../dsl/files/write.ts";
import { childOutput } from "../../cli/child.ts";
import { moduleArgument, taskArguments, taskEnvironment } from "../../cli/deno.ts";
import { FIGURE_9 } from "./paper_all.ts";

/**
 * Trains what Figure 9 needs of a task, unless that is there, and draws it into the sweep's folder.
 *
 * @param folder The sweep's folder
 * @param task The task
 * @param flags What the command line says of its runs
 * @param signal Ends it
 * @returns Its table in Markdown
 */
export async function drawFigure9(
  folder: string,
  task: string,
  flags: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const out = `${folder}/${FIGURE_9}/${task}`;
  const script = moduleArgument(new URL("../align.ts", import.meta.url));
  const own = ["--micro", `--task=${task}`, `--out=${out}`, ...flags];
  const table = await childOutput([...taskArguments("align"), script, ...own], {
    attempted: `aligning updates (Figure 9, ${task})`,
    env: taskEnvironment("align"),
    signal,
  });
  const titled = `### Figure 9, ${task}\n\n${table}`;
  await writeWhole(`${out}/table.md`, `${titled}\n`);
  return titled;
}
