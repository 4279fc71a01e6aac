/**
 * Questions by name: MetaMathQA, GSM8K, and built-in word problems.
 *
 * @module
 */
import { placeAt } from "../data/files.ts";
import { OneloraError, unknownName } from "../../dsl/error.ts";
import { checkHeldOut, type HeldOut } from "../data/validation.ts";
import { type ReasoningExample, splitExamples } from "./example.ts";
import { wordProblems } from "./problems.ts";
import { isText, readRows } from "./rows.ts";

/** The columns of a published format, and what they say. */
interface Format {
  readonly columns: readonly string[];
  /** The example of a row, or what is wrong with it. */
  readonly example: (row: Readonly<Record<string, unknown>>) => ReasoningExample | string;
}

function lacking(row: Readonly<Record<string, unknown>>, names: readonly string[]): string | undefined {
  const name = names.find((each) => !isText(row[each]));
  return name && `no text in "${name}"`;
}

/** MetaMathQA (Yu et al. 2023; `meta-math/MetaMathQA`): `query`, `response`, `type`. */
const metaMath: Format = {
  columns: ["query", "response", "type"],
  example: (row) => {
    const fault = lacking(row, ["query", "response"]);
    if (fault !== undefined) return fault;
    const { query, response, type } = row as unknown as ReasoningExample;
    return { query, response, ...(isText(type) ? { type } : {}) };
  },
};

/** GSM8K (Cobbe et al. 2021; `openai/gsm8k`): `question` and `answer`, which ends with a line `#### N`. */
const gsm8k: Format = {
  columns: ["question", "answer"],
  example: (row) => {
    const fault = lacking(row, ["question", "answer"]);
    if (fault !== undefined) return fault;
    const { question, answer } = row as { question: string; answer: string };
    const final = /(?:^|\n)#### *(\S[^\n]*?)\s*$/.exec(answer);
    if (final === null) return `no last line "#### N" in "answer"`;
    const worked = answer.trimEnd().replaceAll(/<<[^<>\n]*>>/g, "");
    return { query: question, response: `${worked}\nThe answer is: ${final[1]}` };
  },
};

const FILES: Readonly<Record<string, Format>> = { metamath: metaMath, gsm8k };

const BUILT_IN: Readonly<Record<string, "a" | "b">> = { "word-problems-a": "a", "word-problems-b": "b" };

/** Every form of specification that {@linkcode openReasoningData} takes. */
export const reasoningDataForms: readonly string[] = [
  ...Object.keys(BUILT_IN),
  ...Object.keys(FILES).map((name) => `${name}:FILE`),
];

/** How to open questions. */
export interface ReasoningDataOptions {
  /** Fail at the first row that is not as it should be instead of leaving it out. */
  readonly strict?: boolean;
  /** Called with the reason why a row is left out, one line each. */
  readonly onSkip?: (line: string) => void;
  /** How many built-in problems (default 2000). */
  readonly count?: number;
  /** Seed of the built-in problems (default 0). */
  readonly seed?: number;
}

/** Opened questions. */
export interface ReasoningData {
  /** The specification, for messages and records. */
  readonly name: string;
  /** The questions, in the file's order. */
  readonly examples: readonly ReasoningExample[];
  /** Others to validate with, instead of some of them. */
  readonly test?: readonly ReasoningExample[];
  /** How many rows were left out. */
  readonly skipped: number;
}

/**
 * Questions to validate with. Where the data have no others for that, a fifth of all, the same for every seed, is what the
 * model is judged by at the end.
 *
 * @param data The questions
 * @param count How many
 * @throws OneloraError (exit code 2) if too few were left to train on
 */
export function holdOutQuestions(data: ReasoningData, count: number): HeldOut<ReasoningData> {
  const { examples, test } = data;
  const judged = test === undefined ? splitExamples(examples, 0) : { train: examples, validation: test };
  const { length } = judged.train;
  checkHeldOut(count, length, data.name);
  const { train, validation } = splitExamples(judged.train, 0, 1 - count / length);
  return {
    training: { ...data, examples: train, test: validation },
    testing: { ...data, examples: train, test: judged.validation },
  };
}

async function readExamples(name: string, format: Format, path: string, options: ReasoningDataOptions) {
  const allowed = `rows with ${format.columns.slice(0, 2).map((column) => `"${column}"`).join(" and ")}`;
  const examples: ReasoningExample[] = [];
  let skipped = 0;
  let first: OneloraError | undefined;
  for await (const row of readRows(path, format.columns)) {
    const isObject = "value" in row && typeof row.value === "object" && row.value !== null;
    const example = isObject
      ? format.example(row.value as Readonly<Record<string, unknown>>)
      : "fault" in row
      ? row.fault
      : "no object";
    if (typeof example !== "string") {
      examples.push(example);
      continue;
    }
    const error = new OneloraError({ attempted: `reading ${row.at}`, found: example, allowed });
    if (options.strict) throw error;
    first ??= error;
    skipped++;
    options.onSkip?.(error.message);
  }
  if (examples.length > 0) return { name, examples, skipped };
  throw first ?? new OneloraError({ attempted: `reading ${path}`, found: "no rows", allowed });
}

/**
 * Opens questions: `metamath:FILE` (MetaMathQA: `.json`, `.jsonl` or `.parquet` with `query` and `response`),
 * `gsm8k:FILE` (GSM8K: `.jsonl`, `.json` or `.parquet` with `question` and `answer`), or built-in `word-problems-a` and
 * `word-problems-b`. Rows that lack something are left out and counted.
 *
 * An answer of GSM8K becomes a response as MetaMathQA has them: the calculator's notes `<<...>>` are taken out, and
 * `The answer is: N` follows the line `#### N`. Needs `--allow-read` for files.
 *
 * @param spec What to open
 * @param options See {@linkcode ReasoningDataOptions}
 * @throws OneloraError for an unreadable file or one without any good row; exit code 2 for an unknown specification
 */
export async function openReasoningData(spec: string, options: ReasoningDataOptions = {}): Promise<ReasoningData> {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const path = colon < 0 ? "" : spec.slice(colon + 1);
  if (Object.hasOwn(BUILT_IN, name) && colon < 0) {
    const { count = 2000, seed = 0 } = options;
    return { name, examples: wordProblems(BUILT_IN[name], count, seed), skipped: 0 };
  }
  if (Object.hasOwn(FILES, name) && path !== "") return await readExamples(spec, FILES[name], path, options);
  if (!Object.hasOwn(FILES, name) && !Object.hasOwn(BUILT_IN, name)) {
    const isThere = await placeAt(spec) !== undefined;
    const shown = isThere || colon < 0 ? spec : `${name}:FILE`;
    throw unknownName("questions", shown, reasoningDataForms, isThere ? `gsm8k:${spec}` : undefined);
  }
  throw new OneloraError({
    attempted: "choosing questions",
    found: `"${spec}"`,
    allowed: Object.hasOwn(BUILT_IN, name) ? `${name}, without a file` : `${name}:FILE, with its file`,
  }, { exitCode: 2 });
}
