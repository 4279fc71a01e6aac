/**
 * Texts of one's own as data.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { isObject } from "../../dsl/files/json.ts";
import type { DataFacts } from "../data/record.ts";
import { checkHeldOut, type HeldOut } from "../data/validation.ts";
import { holdOut, type TextExample, type TextRow } from "./example.ts";
import { findTextFiles, readTextFile, textFileKinds, type TextFiles, type TextPart } from "./files.ts";
import type { TextSettings } from "./settings.ts";
import { readColumns, shapeReader, shapeWords } from "./shapes.ts";

/** Opened texts. */
export interface TextData {
  /** What it was opened by. */
  readonly name: string;
  /** To learn from. */
  readonly train: readonly TextExample[];
  /** To be judged by while training, if there are such. */
  readonly validation?: readonly TextExample[];
  /** To be judged by in the end, if there are such. */
  readonly test?: readonly TextExample[];
  /** Rows that were left out. */
  readonly skipped: number;
  /** Why the first of them was. */
  readonly why?: string;
  /** Where the files are. */
  readonly paths: readonly string[];
}

/** Every form of name that {@linkcode openTextData} takes. */
export const textDataForms: readonly string[] = [
  `FILE or FOLDER of ${textFileKinds.map((kind) => `.${kind}`).join(", ")}`,
  ...textFileKinds.map((kind) => `${kind}:FILE`),
];

/**
 * Opens texts: a file, a folder with one, or a folder with `train`, `validation` and `test` files, by the columns that their
 * rows have. Rows that lack something are left out and counted. Needs `--allow-read`.
 *
 * @param spec What to open
 * @param run Whether to fail at a row that is not as it should be, names of columns, and a file to validate with
 * @throws OneloraError for an unreadable file or one without any good row; exit code 2 for columns that are not clear
 */
export async function openTextData(
  spec: string,
  { strict, own = {} }: { readonly strict?: boolean; readonly own?: Partial<TextSettings> },
): Promise<TextData> {
  const columns = readColumns(own.columns);
  let skipped = 0;
  let why: string | undefined;
  const readPart = async (files: TextFiles[TextPart]): Promise<readonly TextExample[] | undefined> => {
    if (files === undefined) return undefined;
    const examples: TextExample[] = [];
    let first: OneloraError | undefined;
    for (const [kind, path] of files) {
      const exampleOf = shapeReader(columns);
      for await (const row of readTextFile(kind, path)) {
        const isRow = "value" in row && isObject(row.value);
        const example = isRow ? exampleOf(row.value as TextRow, row.at) : "fault" in row ? row.fault : "no object";
        if (typeof example !== "string") {
          examples.push(example);
          continue;
        }
        const error = new OneloraError({
          attempted: `reading ${row.at}`,
          found: example,
          allowed: `rows with ${shapeWords}`,
        });
        if (strict) throw error;
        first ??= error;
        why ??= `${row.at}: ${example}`;
        skipped++;
      }
    }
    if (examples.length > 0) return examples;
    const paths = files.map(([, path]) => path).join(", ");
    throw first ??
      new OneloraError({ attempted: `reading ${paths}`, found: "no rows", allowed: `rows with ${shapeWords}` });
  };
  const files = await findTextFiles(spec);
  const apart = own.validationFile === undefined ? {} : { validation: (await findTextFiles(own.validationFile)).train };
  if (own.validationFile !== undefined && files.validation !== undefined) {
    const problem = {
      attempted: `opening "${spec}"`,
      found: "a validation file in it and --validation-file",
      allowed: "one of them",
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const all: TextFiles = { ...files, ...apart };
  const train = await readPart(all.train);
  const [validation, test] = [await readPart(all.validation), await readPart(all.test)];
  return {
    name: spec,
    train: train!,
    ...(validation && { validation }),
    ...(test && { test }),
    skipped,
    ...(why && { why }),
    paths: Object.values(all).flatMap((part) => part.map(([, path]) => path)),
  };
}

/** Share of the examples that judges at the end where the data have no part for that and the training part validates too. */
const JUDGING = 0.1;

/**
 * Texts to validate with. Where the data have no others to be judged by at the end, a tenth of all, the same for every seed,
 * is.
 *
 * @param data The texts
 * @param count How many
 * @throws OneloraError (exit code 2) if too few were left to train on
 */
export function holdOutTexts(data: TextData, count: number): HeldOut<TextData> {
  const given = data.test ?? data.validation;
  checkHeldOut(given === undefined ? 2 : 1, data.train.length, data.name);
  const judged = given === undefined ? holdOut(data.train, 0, JUDGING) : { train: data.train, held: given };
  const { length } = judged.train;
  checkHeldOut(count, length, data.name);
  const { train, held } = holdOut(judged.train, 0, count / length);
  return {
    training: { ...data, train, validation: held },
    testing: { ...data, train, test: judged.held },
  };
}

/**
 * What a run remembers of texts.
 *
 * @param data The texts
 */
export function textFacts({ train, validation, test, paths }: TextData): DataFacts {
  const counts = { train: train.length, validation: validation?.length ?? 0, test: test?.length ?? 0 };
  return { examples: counts, ...(paths.length > 0 && { paths }) };
}
