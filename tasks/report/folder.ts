/**
 * What a run's folder holds, for its report.
 *
 * @module
 */
import { commandLine } from "../../dsl/command_line.ts";
import { firstLine, OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isObject, parseSettings, readNumbers } from "../../dsl/files/json.ts";
import { readText as readBounded } from "../../dsl/files/read.ts";
import { makeFolder, refuseLinks, writeWhole } from "../../dsl/files/write.ts";
import { listFolder, readBytes } from "../data/files.ts";
import type { LogRecord } from "../trainer/log.ts";
import { type Calibration, isCalibration, type NamedCalibration } from "./calibration.ts";
import { pngFacts } from "./event.ts";

/** An object of JSON. */
export type Json = Readonly<Record<string, unknown>>;

/** A picture. */
export interface Shown {
  /** Its file's name without ending. */
  readonly name: string;
  /** What it shows, if a text file of the same name says so. */
  readonly caption?: string;
  /** Its file. */
  readonly png: Uint8Array;
  /** Pixels. */
  readonly width: number;
}

/** A text. */
export interface Told {
  /** Its file's name. */
  readonly name: string;
  /** Its content. */
  readonly text: string;
}

/** A run as its folder keeps it. */
export interface RunFolder {
  /** Settings. */
  readonly config: Json;
  /** What came of it; missing while it runs. */
  readonly summary?: Json;
  /** The log. */
  readonly records: readonly LogRecord[];
  /** `*.png`, in order of their names, numbers in names as numbers. */
  readonly pictures: readonly Shown[];
  /** `*.md` and `*.txt` that are no captions. */
  readonly texts: readonly Told[];
  /** What `evaluate --json` printed, kept as `evaluation.json`. */
  readonly evaluation?: Calibration;
}

/** Where a run's folder keeps pictures and texts. */
const FOLDERS = ["", "pictures/"];

const byName = new Intl.Collator("en", { numeric: true }).compare;

async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

async function readJson(path: string, parse: (text: string) => unknown = parseSettings): Promise<Json> {
  const text = await readBounded(path);
  const wrong = (found: string, cause?: unknown) =>
    new OneloraError({ attempted: `reading ${path}`, found, allowed: "an object in JSON" }, { cause });
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw wrong(firstLine(cause), cause);
  }
  if (!isObject(value)) throw wrong("something else in JSON");
  return value;
}

/** Entries that are numbers; the object itself if all are. */
function numbers(value: Json): Readonly<Record<string, number>> {
  const isNumber = ([, each]: readonly [string, unknown]) => typeof each === "number";
  const entries = Object.entries(value);
  return (entries.every(isNumber) ? value : Object.fromEntries(entries.filter(isNumber))) as Record<string, number>;
}

/** A line of a log; none of one that a crash cut off, or that is something else. */
function recordOf(line: string): LogRecord | undefined {
  try {
    const value = readNumbers(line);
    if (!isObject(value) || typeof value.step !== "number") return undefined;
    const trees = Object.entries(value).flatMap(([name, part]) => isObject(part) ? [[name, numbers(part)]] : []);
    const own = numbers(value) as LogRecord;
    return trees.length === 0 ? own : { ...own, ...Object.fromEntries(trees) };
  } catch {
    return undefined;
  }
}

/** Pictures and texts of one folder. */
async function exhibits(
  folder: string,
  files: readonly string[],
): Promise<{ readonly pictures: readonly Shown[]; readonly texts: readonly Told[] }> {
  const named = files.toSorted(byName);
  const pictures: Shown[] = [];
  for (const file of named.filter((name) => name.endsWith(".png"))) {
    const name = file.slice(0, -".png".length);
    const png = await readBytes(`${folder}/${file}`);
    const facts = pngFacts(png);
    if (facts === undefined) continue;
    const caption = files.includes(`${name}.txt`) ? (await readText(`${folder}/${name}.txt`)).trim() : undefined;
    pictures.push({ name, caption, png, width: facts.width });
  }
  const isText = (name: string) =>
    name.endsWith(".md") || (name.endsWith(".txt") && !files.includes(`${name.slice(0, -".txt".length)}.png`));
  const texts = await Promise.all(
    named.filter(isText).map(async (name) => ({ name, text: await readText(`${folder}/${name}`) })),
  );
  return { pictures, texts };
}

/**
 * Reads a run's folder; only its `config.json` must be there.
 *
 * @param folder The folder
 * @throws OneloraError if it is no run's folder, or a file in it cannot be read
 */
export async function readRunFolder(folder: string): Promise<RunFolder> {
  const filesOf = async (path: string) => {
    const files = (await listFolder(path)).filter(({ isFile }) => isFile).map(({ name }) => name);
    for (const name of files) refuseLinks(`reading ${path}`, `${path}/${name}`, { within: folder });
    return files;
  };
  const entries = await listFolder(folder);
  const files = await filesOf(folder);
  if (!files.includes("config.json")) {
    throw new OneloraError({ attempted: `reading ${folder}`, found: "no config.json", allowed: "a run's folder" });
  }
  const optional = async <Part>(name: string, read: (path: string) => Promise<Part>): Promise<Part | undefined> =>
    files.includes(name) ? await read(`${folder}/${name}`) : undefined;
  const inside = FOLDERS.filter((name) =>
    name === "" || entries.some((each) => each.isDirectory && `${each.name}/` === name)
  );
  const shown = await Promise.all(
    inside.map(async (name) => exhibits(`${folder}/${name}`, await filesOf(`${folder}/${name}`))),
  );
  const evaluation = await optional("evaluation.json", (path) => readJson(path, readNumbers));
  return {
    config: await readJson(`${folder}/config.json`),
    summary: await optional("summary.json", (path) => readJson(path, readNumbers)),
    records: (await optional("metrics.jsonl", readText) ?? "").split("\n").map(recordOf).filter((each) =>
      each !== undefined
    ),
    pictures: shown.flatMap(({ pictures }) => pictures),
    texts: shown.flatMap(({ texts }) => texts),
    evaluation: isCalibration(evaluation) ? evaluation : undefined,
  };
}

/** A method's name with its rank, if it was given one. */
function methodOf({ adapter, rank }: Json): string {
  return `${adapter ?? "?"}${rank === undefined ? "" : ` r=${rank}`}`;
}

/**
 * What `evaluate --json` found of a run, under its method's name, for {@linkcode calibrationChart}.
 *
 * @param folder The run's folder, with `evaluation.json` in it
 */
export async function runCalibration(folder: string): Promise<NamedCalibration> {
  const { config, evaluation } = await readRunFolder(folder);
  if (evaluation !== undefined) return { name: methodOf(config), metrics: evaluation };
  const [found, evaluate] = [
    "no metrics of a classifier in evaluation.json",
    `${commandLine("evaluate")} --run ${folder} --json`,
  ];
  const allowed = `what ${evaluate} prints`;
  throw new OneloraError({ attempted: `reading ${folder}`, found, allowed });
}

/**
 * Puts a picture into a run's folder, as `pictures/NAME.png`, where the report finds it.
 *
 * @param folder The run's folder
 * @param name Letters, digits, `.`, `_`, `+`, `=` and `-`; a number in it orders pictures of several steps
 * @param png The picture
 * @param caption What it shows
 */
export async function writePicture(folder: string, name: string, png: Uint8Array, caption?: string): Promise<void> {
  const path = `${folder}/pictures/${name}`;
  const attempted = `writing ${path}.png`;
  if (!/^[\w+=-][\w.+=-]*$/.test(name)) {
    throw new OneloraError({
      attempted,
      found: "a name that is none of a file",
      allowed: "letters, digits, . _ + = -",
    });
  }
  await guarded(attempted, "a folder that can be written", async () => {
    await makeFolder(`${folder}/pictures`, { within: folder });
    if (caption !== undefined) await writeWhole(`${path}.txt`, `${caption}\n`, { within: folder });
    await writeWhole(`${path}.png`, png, { within: folder });
  });
}
