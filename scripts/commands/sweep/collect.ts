/**
 * What lies in a sweep's folder, this command's tables and those of earlier ones, brought together.
 *
 * @module
 */
import { readNumbers } from "../../../dsl/files/json.ts";
import { writeWhole } from "../../../dsl/files/write.ts";
import { metricTitle } from "./check.ts";
import { jsonIfThere, textIfThere } from "../../../dsl/files/if_there.ts";
import { paperPage, type Section } from "./page.ts";
import { FIGURE_9 } from "./paper_all.ts";
import { type Protocol, protocolInWords } from "./protocol.ts";
import { unitOf } from "./table.ts";

/** What a table's `table.json` says of how it was made. */
interface Made extends Protocol {
  /** What it is called. */
  readonly title: string;
  /** What decides in it. */
  readonly deciding: { readonly metric: string };
}

/** A table as it lies in its folder. */
interface Found {
  readonly name: string;
  readonly table: string;
  readonly json: string;
  readonly made: Made;
  readonly section: Section;
}

/** A picture with its caption, where there is one. */
async function figureIn(path: string, caption: string): Promise<Section["figures"]> {
  const svg = await textIfThere(path);
  return svg === undefined ? [] : [{ caption, svg }];
}

/** A table with its figures; undefined where there is none. */
async function tableIn(folder: string, name: string): Promise<Found | undefined> {
  const place = name === "" ? folder : `${folder}/${name}`;
  const [table, json] = [await textIfThere(`${place}/table.md`), await textIfThere(`${place}/table.json`)];
  if (table === undefined || json === undefined) return undefined;
  const made = await jsonIfThere(`${place}/table.json`, readNumbers) as Made;
  const { title, settings, deciding } = made;
  const metric = metricTitle(settings) ?? unitOf(deciding.metric).title;
  const what = `Time and ${metric} of each method, minutes and peak memory.`;
  const figures = [
    ...await figureIn(`${place}/chart.svg`, `${title}. ${what}`),
    ...await figureIn(
      `${place}/figure11.svg`,
      `${title}. Error distribution and calibration (the paper's Figure 11).`,
    ),
  ];
  return { name, table: table.trimEnd(), json: json.trimEnd(), made, section: { title, table, figures } };
}

/** Figure 9 of a task; undefined where there is none. */
async function figure9In(folder: string, task: string): Promise<Section | undefined> {
  const place = `${folder}/${FIGURE_9}/${task}`;
  const table = await textIfThere(`${place}/table.md`);
  if (table === undefined) return undefined;
  const figures = await figureIn(
    `${place}/figure9.svg`,
    "Absolute cosine between the principal components of a full update and summation, random vectors and what LoRA " +
      `learned, by kind of layer (${task}).`,
  );
  return { title: `Figure 9, ${task}: why summation works`, table, figures };
}

/** What a folder is expected to hold. */
export interface Expected {
  /** Folders of tables inside of it; an empty one for itself. */
  readonly tables: readonly string[];
  /** Tasks of Figure 9. */
  readonly figure9: readonly string[];
  /** What makes the tables with these names, as a command. */
  readonly command: (names: readonly string[]) => string;
}

/**
 * Writes `paper.html` out of everything that lies in a folder, and for several tables `table.md` and `table.json`. What is
 * not there yet is said so.
 *
 * @param folder The folder
 * @param expected What it is expected to hold
 */
export async function collect(folder: string, { tables, figure9, command }: Expected): Promise<void> {
  const found = await Promise.all(tables.map((name) => tableIn(folder, name)));
  const figures = await Promise.all(figure9.map((task) => figure9In(folder, task)));
  const there = found.filter((each) => each !== undefined);
  const lacking = [
    ...tables.filter((_, i) => found[i] === undefined),
    ...figures.includes(undefined) ? [FIGURE_9] : [],
  ];
  const missing = lacking.length === 0
    ? []
    : ["", `Not there yet: ${lacking.join(", ")}. \`${command(lacking)}\` makes what is missing.`];
  if (tables.length > 1) {
    await writeWhole(
      `${folder}/table.md`,
      [...there.map(({ table }) => table), ...missing.slice(1)].join("\n\n") + "\n",
    );
    await writeWhole(`${folder}/table.json`, `[${there.map(({ json }) => json).join(",\n")}]\n`);
  }
  const title = tables.length > 1 ? "The paper's tables" : there[0]?.made.title ?? "";
  const page = paperPage(title, [protocolInWords(there.map(({ made }) => made)), ...missing].join("\n"), [
    ...there.map(({ section }) => section),
    ...figures.filter((each) => each !== undefined),
  ]);
  await writeWhole(`${folder}/paper.html`, page);
}
