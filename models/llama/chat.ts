/**
 * A chat as the text that a model was trained on, by the template that its files have.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import { readText, SETTINGS_BYTES } from "../../dsl/files/read.ts";
import { isMissing } from "../../dsl/files/store.ts";
import type { Json } from "../config.ts";
import { loadJinja } from "./jinja.ts";

/** A message of a chat. Further fields, such as `tool_calls`, are the template's to read. */
export interface ChatMessage {
  /** Who says it: `system`, `user`, `assistant`, or whom else the template knows. */
  readonly role: string;
  /** What is said; pieces or nothing where the template takes that. */
  readonly content?: string | null | readonly unknown[];
}

/** What a template is given besides the messages. */
export interface ChatOptions {
  /** Descriptions of functions that the model may call. */
  readonly tools?: readonly unknown[];
  /** Whether the text ends where an answer of the assistant's begins (default true). */
  readonly open?: boolean;
  /** Puts {@linkcode TURN_MARKS} around what the template says the model writes itself, if it does. */
  readonly marked?: boolean;
}

/** A model's way to write chats: their text, by default up to where the assistant's answer begins. */
export interface ChatTemplate {
  (messages: readonly ChatMessage[], options?: ChatOptions): string;
  /** Whether the template says what the model writes itself: `{% generation %}`. */
  readonly marks: boolean;
}

/** What begins and ends the model's own text when it is marked: characters that no text has. */
export const TURN_MARKS: readonly [begin: string, end: string] = ["\uFDD0", "\uFDD1"];

/** `{% generation %}` and its end, which transformers reads to tell what the model writes itself. */
const GENERATION = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

/** The template among those that a setting names: the text itself, or the one that is called default. */
function templateOf(setting: unknown): string | undefined {
  if (typeof setting === "string") return setting;
  const named: readonly unknown[] = Array.isArray(setting) ? setting : [];
  const found = named.find((each) => (each as Json | null)?.name === "default") as Json | undefined;
  return typeof found?.template === "string" ? found.template : undefined;
}

async function textIfThere(path: string): Promise<string | undefined> {
  try {
    return await readText(path, SETTINGS_BYTES);
  } catch (error) {
    if (error instanceof OneloraError && isMissing(error.cause)) return undefined;
    throw error;
  }
}

/** Special tokens by name, as templates read them. */
function specialTokens(config: Json): Json {
  return Object.fromEntries(
    Object.entries(config).flatMap(([name, value]) => {
      if (!name.endsWith("_token")) return [];
      const content = typeof value === "object" ? (value as Json | null)?.content : value;
      return typeof content === "string" ? [[name, content]] : [];
    }),
  );
}

/**
 * The text of a checkpoint's chat template: `chat_template.jinja`, else that of `chat_template.json` or `tokenizer_config.json`;
 * undefined if it has none. Needs `--allow-read`.
 *
 * @param folder The folder
 */
export async function chatTemplateText(folder: string): Promise<string | undefined> {
  const config = (await readJsonIfThere(`${folder}/tokenizer_config.json`))?.json ?? {};
  return await textIfThere(`${folder}/chat_template.jinja`) ??
    templateOf((await readJsonIfThere(`${folder}/chat_template.json`))?.json.chat_template) ??
    templateOf(config.chat_template);
}

/**
 * Opens the template of a checkpoint's folder: `chat_template.jinja`, else that of `chat_template.json` or
 * `tokenizer_config.json`. Its text is encoded without special tokens: the template writes them itself. Needs `--allow-read`.
 *
 * @param folder The folder
 * @returns The template, whose call throws OneloraError for messages that it refuses
 * @throws OneloraError if there is none, or if it cannot be read
 */
export async function openChatTemplate(folder: string): Promise<ChatTemplate> {
  const config = (await readJsonIfThere(`${folder}/tokenizer_config.json`))?.json ?? {};
  // Whatever a line ends in, it is one.
  const text = (await chatTemplateText(folder))?.replaceAll(/\r\n?/g, "\n");
  if (text === undefined) {
    throw new OneloraError({
      attempted: `opening the chat template of ${folder}`,
      found: "none",
      allowed:
        'chat_template.jinja, or a "chat_template" in tokenizer_config.json: models that were not trained on chats have none',
    });
  }
  const read = await loadJinja();
  const marks = text.search(GENERATION) >= 0;
  // A block in its place trims the spaces around it as it does itself.
  const withMarks = text.replaceAll(
    GENERATION,
    (_, left: string, end: string | undefined, right: string) =>
      `{%${left} if true %}{{ '${TURN_MARKS[end === undefined ? 0 : 1]}' }}{% endif ${right}%}`,
  );
  const [plain, marking] = await guarded(
    `reading the chat template of ${folder}`,
    "a Jinja template",
    () => [read(text), marks ? read(withMarks) : undefined] as const,
  );
  const write = (messages: readonly ChatMessage[], { tools, open = true, marked = false }: ChatOptions = {}) => {
    const template = (marked ? marking : undefined) ?? plain;
    try {
      // transformers gives tools and documents always, None where there are none, which templates ask for.
      const given = { tools: tools ?? null, documents: null };
      return template({ ...specialTokens(config), messages, ...given, add_generation_prompt: open });
    } catch (cause) {
      if (cause instanceof OneloraError) throw cause;
      throw new OneloraError({
        attempted: `writing a chat by the template of ${folder}`,
        found: (cause as Error).message.split("\n")[0],
        allowed: "messages that it takes",
      }, { cause });
    }
  };
  return Object.assign(write, { marks });
}
