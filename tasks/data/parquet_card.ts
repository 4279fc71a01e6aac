/**
 * What the card of a Hugging Face data set (README.md) says of its files: names of labels, and which files are which part.
 *
 * @module
 */
import { parse } from "yaml";
import { OneloraError } from "../../dsl/error.ts";
import { readBytes } from "./files.ts";
import { partNamed, trainNames } from "./split_folders.ts";

/** An object of a file. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * A value as an object, an empty one if it is none.
 *
 * @param value Any value
 */
export function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/**
 * Texts of a list, or of an object in the order of its names; nothing of others.
 *
 * @param value Any value
 */
export function texts(value: unknown): readonly string[] | undefined {
  const list = Array.isArray(value) ? value : Object.values(fields(value));
  return list.length > 0 && list.every((each) => typeof each === "string") ? list : undefined;
}

/**
 * Names of a column's labels in a data set's card: `features: [{name, dtype: {class_label: {names}}}]`.
 *
 * @param card What it says
 * @param column The column
 */
export function namesInCard(card: unknown, column: string): readonly string[] | undefined {
  const info = fields(card).dataset_info;
  for (const each of Array.isArray(info) ? info : [info]) {
    const { features } = fields(each);
    const feature = Array.isArray(features) ? features.find((one) => fields(one).name === column) : undefined;
    // Keys that are whole numbers come in their order, whatever the card's.
    const types = fields(feature);
    const found = [types.dtype, types.sequence, types.list].map((type) => texts(fields(fields(type).class_label).names))
      .find((each) => each !== undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * What is between the lines `---` at the top of a card.
 *
 * @param path The file
 */
export async function readCard(path: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(path));
  const [, front] = /^---\r?\n([^]*?)\r?\n---/.exec(text) ?? [];
  try {
    return front === undefined ? undefined : parse(front, { logLevel: "error" });
  } catch {
    // A card is for people first; what cannot be read of it is as if it were not there.
    return undefined;
  }
}

/** A pattern of paths as the hub writes it, `data/train-*`. */
function matches(pattern: string, path: string): boolean {
  const parts = pattern.replace(/^\.\//, "").split(/(\*\*\/?|[*?])/);
  const source = parts.map((part) =>
    part.startsWith("**") ? ".*" : part === "*" ? "[^/]*" : part === "?" ? "[^/]" : part.replace(/[^\w/-]/g, "\\$&")
  );
  return new RegExp(`^${source.join("")}$`).test(path);
}

/** The parts that a card says a file is of: `configs: [{data_files: [{split, path}]}]`. */
function partsOf(card: unknown, path: string): readonly string[] {
  const { configs } = fields(card);
  const files = (Array.isArray(configs) ? configs : []).flatMap((each) => fields(each).data_files ?? []);
  return files.flatMap((each) => {
    const { split, path: patterns } = fields(each);
    const all = Array.isArray(patterns) ? patterns : [patterns];
    const isIt = all.some((pattern) => typeof pattern === "string" && matches(pattern, path));
    return typeof split === "string" && isIt ? [split] : [];
  });
}

/**
 * Refuses files that are called as one part and that the card says are the other.
 *
 * @param card What it says
 * @param folder The data set's
 * @param files Paths of those to train on, and of those to be judged by
 * @throws OneloraError for the first of them
 */
export function refuseOtherParts(
  card: unknown,
  folder: string,
  files: { readonly train: readonly string[]; readonly test: readonly string[] },
): void {
  const isTrain = (part: string) => trainNames.includes(partNamed(part));
  for (const [part, paths] of Object.entries(files)) {
    for (const path of paths) {
      const said = partsOf(card, path.slice(folder.length + 1));
      if (said.length === 0 || said.some((each) => isTrain(each) === (part === "train"))) continue;
      throw new OneloraError({
        attempted: `reading ${path} as ${part}`,
        found: `README.md, by which it is ${said.join(", ")}`,
        allowed: "files that are called as the parts that they are",
      });
    }
  }
}
