/**
 * The shapes that rows of text come in, recognised by their columns.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { isObject } from "../../dsl/files/json.ts";
import { isText } from "../reasoning/rows.ts";
import type { TextExample, TextRow } from "./example.ts";
import { afterSystem, chat, messagesOf, turnsOf } from "./messages.ts";

/** A shape of rows. */
interface Shape {
  /** Columns that it has; one of several names where they are alternatives. */
  readonly needs: readonly (readonly string[])[];
  /** Columns that it may have. */
  readonly may?: readonly string[];
  /** A column that rows of another shape have. */
  readonly lacks?: string;
  /** The example of a row, or what is wrong with it. */
  readonly read: (row: TextRow) => TextExample | string;
}

/** The value of the first of several columns that a row has. */
function first(row: TextRow, names: readonly string[]): unknown {
  return names.map((name) => row[name]).find((value) => value !== undefined && value !== null);
}

/** Columns of what a language model does not see. */
const UNSEEN = ["image", "images", "video", "videos", "audio", "audios"];

/** What a row says beside its shape that is not heard, if anything: other programs would act on it. */
function unheardBeside(row: TextRow, heard: readonly string[]): string | undefined {
  const isSaid = (name: string) => {
    const value = row[name] ?? "";
    return !heard.includes(name) && value !== "" && !(Array.isArray(value) && value.length === 0);
  };
  const unseen = UNSEEN.find(isSaid);
  if (unseen !== undefined) return `"${unseen}", which no language model here sees`;
  const before = ["system", "history"].find(isSaid);
  if (before !== undefined) return `"${before}", which belongs before it: a list of messages says both`;
  const isJudged = ["prompt", "messages", "conversations"].some((name) => heard.includes(name));
  const bad = isJudged ? ["label", "kto_tag"].find((name) => row[name] === false) : undefined;
  return bad === undefined ? undefined : `"${bad}": false, an answer to be avoided`;
}

/** Which answer is right: its number, its letter or label, or itself. */
function rightOf(answer: unknown, choices: readonly string[], labels: readonly unknown[]): number | undefined {
  const given = typeof answer === "bigint" ? Number(answer) : answer;
  const labelled = labels.findIndex((label) => String(label) === String(given));
  if (labelled >= 0) return labelled;
  if (typeof given === "number") {
    return Number.isInteger(given) && given >= 0 && given < choices.length ? given : undefined;
  }
  if (typeof given !== "string") return undefined;
  const itself = choices.indexOf(given);
  const letter = /^[A-Z]$/.test(given) ? given.charCodeAt(0) - 65 : /^\d+$/.test(given) ? Number(given) : -1;
  const found = itself >= 0 ? itself : letter;
  return found >= 0 && found < choices.length ? found : undefined;
}

const RESPONSE = ["completion", "response"];
const ANSWER = ["answer", "answerKey", "label"];

const SHAPES: Readonly<Record<string, Shape>> = {
  messages: {
    needs: [["messages"]],
    may: ["system", "tools"],
    read: ({ messages, system, tools }) => chat(afterSystem(messagesOf(messages, "messages"), system), tools),
  },
  conversations: {
    needs: [["conversations"]],
    may: ["system", "tools"],
    read: ({ conversations, system, tools }) => chat(afterSystem(turnsOf(conversations), system), tools),
  },
  "prompt and completion": {
    needs: [["prompt"], RESPONSE],
    may: ["tools"],
    read: (row) => {
      const [prompt, completion] = [row.prompt, first(row, RESPONSE)];
      if (Array.isArray(prompt) && Array.isArray(completion)) {
        const before = messagesOf(prompt, "prompt");
        const after = messagesOf(completion, "completion");
        if (typeof before === "string" || typeof after === "string") {
          return typeof before === "string" ? before : after as string;
        }
        return chat([...before, ...after], row.tools, before.length);
      }
      if (!isText(prompt)) return 'no text in "prompt"';
      return isText(completion) ? { kind: "pair", prompt, completion } : 'no text in "completion"';
    },
  },
  "instruction and output": {
    needs: [["instruction"], ["output", "response"]],
    may: ["input", "context"],
    read: (row) => {
      const [output, input] = [first(row, ["output", "response"]), first(row, ["input", "context"]) ?? ""];
      if (isText(row.input) && isText(row.context)) return 'a text in "input" and one in "context"';
      if (!isText(row.instruction)) return 'no text in "instruction"';
      if (typeof input !== "string") return 'no text in "input"';
      return isText(output)
        ? { kind: "instruction", instruction: row.instruction, input, output }
        : 'no text in "output"';
    },
  },
  text: {
    needs: [["text"]],
    read: ({ text }) => isText(text) ? { kind: "text", text } : 'no text in "text"',
  },
  "question and answer": {
    needs: [["question"], ["answer"]],
    lacks: "choices",
    read: ({ question, answer }) => {
      if (!isText(question)) return 'no text in "question"';
      return isText(answer)
        ? { kind: "pair", prompt: question, completion: answer, asked: true }
        : 'no text in "answer"';
    },
  },
  "question and choices": {
    needs: [["question"], ["choices"], ANSWER],
    read: (row) => {
      const { question, choices: given } = row;
      const texts = isObject(given) ? given.text : given;
      const labels = isObject(given) && Array.isArray(given.label) ? given.label : [];
      if (!isText(question)) return 'no text in "question"';
      if (!Array.isArray(texts) || texts.length < 2 || !texts.every(isText)) return 'no list of texts in "choices"';
      const answer = rightOf(first(row, ANSWER), texts, labels);
      return answer === undefined
        ? `"answer" is none of ${texts.length} choices`
        : { kind: "choice", question, choices: texts, answer };
    },
  },
};

/** Every column that a shape has. */
const textColumns: readonly string[] = [
  ...new Set(Object.values(SHAPES).flatMap(({ needs, may = [] }) => [...needs.flat(), ...may])),
];

/** The shapes in words. */
export const shapeWords: string = Object.values(SHAPES)
  .map(({ needs, may = [] }) =>
    `${needs.map((names) => names.join("|")).join(", ")}${may.map((name) => ` [${name}]`).join("")}`
  )
  .join("; ");

/** Columns that are called otherwise in the files: `prompt=question,completion=answer`. */
export type Columns = Readonly<Record<string, string>>;

/**
 * Reads what `--columns` says.
 *
 * @param written Pairs such as `prompt=question,completion=answer`: the name in the shape, and the column's
 * @throws OneloraError (exit code 2) for what is no such pair, and a name that no shape has
 */
export function readColumns(written: string | undefined): Columns {
  const pairs = (written ?? "").split(",").filter((pair) => pair.trim() !== "").map((pair) => {
    const at = pair.indexOf("=");
    const [name, column] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (at > 0 && column !== "" && textColumns.includes(name)) return [name, column] as const;
    throw new OneloraError({
      attempted: "reading --columns",
      found: `"${pair}"`,
      allowed: `NAME=COLUMN,... with names among ${textColumns.join(", ")}`,
    }, { exitCode: 2 });
  });
  return Object.fromEntries(pairs);
}

/** Names that a row is read by, by their small letters. */
const USUAL: ReadonlyMap<string, string> = new Map(
  [...textColumns, ...UNSEEN, "history", "kto_tag"].map((name) => [name.toLowerCase(), name]),
);

/** A row whose columns are called as usual but for capital letters and blanks: those of a table that a person made. */
function inUsualLetters(row: TextRow, columns: Columns): TextRow {
  const named = Object.values(columns);
  const usual = (name: string) => {
    const found = named.includes(name) ? undefined : USUAL.get(name.trim().toLowerCase());
    return found === undefined || found in row ? name : found;
  };
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [usual(name), value]));
}

/** A row under the names that the shapes have. */
function renamed(row: TextRow, columns: Columns): TextRow {
  const taken = Object.values(columns);
  const own = Object.entries(row).filter(([name]) => textColumns.includes(name) && !taken.includes(name));
  const named = Object.entries(columns).flatMap(([name, column]) =>
    column in row ? [[name, row[column]] as const] : []
  );
  return Object.fromEntries([...own, ...named]);
}

/** Recognises the shape of a row by its columns. */
function shapeOf(row: TextRow, columns: Columns, at: string): Shape {
  const present = new Set(Object.keys(row));
  const fits = Object.entries(SHAPES).filter(([, { needs, may = [], lacks }]) => {
    const all = [...needs.flat(), ...may];
    return (lacks === undefined || !present.has(lacks)) &&
      needs.every((names) => names.some((name) => present.has(name))) &&
      Object.keys(columns).every((name) => all.includes(name));
  });
  if (fits.length === 1) return fits[0][1];
  const shown = Object.keys(row).map((name) => `"${name}"`).join(", ") || "no columns";
  const choice = fits.map(([, { needs }]) => needs.map(([name]) => `${name}=${name}`).join(",")).join(" or --columns ");
  throw new OneloraError({
    attempted: `recognising ${at}`,
    found: fits.length === 0 ? shown : `${shown}, which may be ${fits.map(([name]) => name).join(" or ")}`,
    allowed: fits.length === 0 ? `columns ${shapeWords}; others by --columns NAME=COLUMN,...` : `--columns ${choice}`,
  }, { exitCode: 2 });
}

/**
 * Reads rows of one shape: that of the first one.
 *
 * @param columns See {@linkcode readColumns}
 * @returns A function of a row and where it is: its example, or what is wrong with it
 * @throws OneloraError (exit code 2) where the first row's columns fit no shape or several; so does the function
 */
export function shapeReader(columns: Columns): (written: TextRow, at: string) => TextExample | string {
  let shape: Shape | undefined;
  return (written, at) => {
    const row = inUsualLetters(written, columns);
    const missing = Object.values(columns).find((column) => shape === undefined && !(column in row));
    if (missing !== undefined) {
      const found = Object.keys(row).map((name) => `"${name}"`).join(", ") || "no columns";
      throw new OneloraError({
        attempted: `reading "${missing}" of ${at}`,
        found,
        allowed: "one of these in --columns",
      }, {
        exitCode: 2,
      });
    }
    const named = renamed(row, columns);
    shape ??= shapeOf(Object.keys(named).length === 0 ? row : named, columns, at);
    const { needs, may = [] } = shape;
    // Who names columns has seen the others.
    const isChosen = Object.keys(columns).length > 0;
    return (isChosen ? undefined : unheardBeside(row, [...needs.flat(), ...may])) ?? shape.read(named);
  };
}

/**
 * Whether an object in memory is an example of text.
 *
 * @param value Anything
 */
export function isTextRow(value: object): value is TextRow {
  try {
    const row = value as TextRow;
    return typeof shapeReader({})(row, "") !== "string";
  } catch {
    return false;
  }
}
