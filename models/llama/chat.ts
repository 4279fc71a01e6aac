/**
 * A chat as the text that a model was trained on, by the template that its files have.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { readJsonIfThere } from "../../dsl/files/python_json.ts";
import { readWhole, SETTINGS_BYTES, TEXT_BYTES } from "../../dsl/files/read.ts";
import { isObject } from "../../dsl/files/json.ts";
import { isMissing } from "../../dsl/files/store.ts";
import type { Json } from "../config.ts";
import { specialTokens } from "../companions/tokens.ts";
import { readJinja, type Template } from "../jinja/template.ts";
import { withNames } from "./tokenizer/llama_class.ts";

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

/** Templates of a model by name: `default`, and `tool_use` for chats with tools. */
type Named = Readonly<Record<string, string>>;

/** The templates that a setting names: one text is the default. */
function templatesOf(setting: unknown): Named {
  if (typeof setting === "string") return { default: setting };
  const named: readonly unknown[] = Array.isArray(setting) ? setting : [];
  return Object.fromEntries(named.flatMap((each) => {
    const { name, template } = isObject(each) ? each : {};
    return typeof name === "string" && typeof template === "string" ? [[name, template]] : [];
  }));
}

async function textIfThere(path: string): Promise<string | undefined> {
  try {
    // A byte order mark is a character of the template's, as to Python.
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readWhole(path, SETTINGS_BYTES));
  } catch (error) {
    if (error instanceof OneloraError && isMissing(error.cause)) return undefined;
    throw error;
  }
}

/** Names of the tokens that every tokenizer may have. */
const NAMES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

/** Special tokens by name, as templates read them: those of the files, and of the tokenizer's class. */
async function namedTokens(folder: string): Promise<Json> {
  const read = async (name: string) => (await readJsonIfThere(`${folder}/${name}`))?.json ?? {};
  const given = await specialTokens(folder, await read("tokenizer_config.json"));
  // A file of megabytes, which is looked at only where something is left open.
  const isOpen = ["bos_token", "eos_token", "unk_token", "pad_token"].some((name) => given[name] === undefined);
  const tokenizer = isOpen ? (await readJsonIfThere(`${folder}/tokenizer.json`, TEXT_BYTES))?.json ?? {} : {};
  const config = isOpen ? withNames(tokenizer, given, await read("config.json")) : given;
  const specific = config.model_specific_special_tokens;
  const all = { ...config, ...isObject(specific) ? specific : {} };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => {
      if (!name.endsWith("_token")) return [];
      // A model's own tokens are texts, or marked as tokens.
      const isToken = isObject(value) && (NAMES.includes(name) || value.__type === "AddedToken");
      const content = isToken ? value.content : value;
      return typeof content === "string" ? [[name, content]] : [];
    }),
  );
}

/** The templates of a folder, those of `additional_chat_templates` among them. */
async function chatTemplates(folder: string): Promise<Named> {
  const file = await textIfThere(`${folder}/chat_template.jinja`);
  const tools = await textIfThere(`${folder}/additional_chat_templates/tool_use.jinja`);
  if (file !== undefined || tools !== undefined) {
    return { ...file === undefined ? {} : { default: file }, ...tools === undefined ? {} : { tool_use: tools } };
  }
  const older = templatesOf((await readJsonIfThere(`${folder}/chat_template.json`))?.json.chat_template);
  if (Object.keys(older).length > 0) return older;
  return templatesOf((await readJsonIfThere(`${folder}/tokenizer_config.json`))?.json.chat_template);
}

/**
 * The text of a checkpoint's chat template: `chat_template.jinja`, else that of `chat_template.json` or `tokenizer_config.json`;
 * undefined if it has none. Needs `--allow-read`.
 *
 * @param folder The folder
 */
export async function chatTemplateText(folder: string): Promise<string | undefined> {
  return (await chatTemplates(folder)).default;
}

/** Names that a message may have for what its model thought, the newest first. */
const THOUGHTS: readonly string[] = ["reasoning_content", "thinking", "reasoning"];

/** A message as transformers hands it to a template: without what is null, its thoughts under every name that templates read. */
function asHandedOver(message: ChatMessage): Json {
  const said = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
  const name = THOUGHTS.find((each) => said[each] !== undefined);
  return name === undefined ? said : { thinking: said[name], ...said, reasoning_content: said[name] };
}

/**
 * Opens the templates of a checkpoint's folder: `chat_template.jinja`, else those of `chat_template.json` or
 * `tokenizer_config.json`; chats with tools are written by `tool_use` where there is one. The text is encoded without special
 * tokens: templates write them themselves. Needs `--allow-read`.
 *
 * @param folder The folder
 * @returns The template, whose call throws OneloraError for messages that it refuses
 * @throws OneloraError if there is none, or if it cannot be read
 */
export async function openChatTemplate(folder: string): Promise<ChatTemplate> {
  const tokens = await namedTokens(folder);
  const { default: text, tool_use: toolText } = await chatTemplates(folder);
  if (text === undefined) {
    throw new OneloraError({
      attempted: `opening the chat template of ${folder}`,
      found: toolText === undefined ? "none" : "one for tools alone",
      allowed:
        'chat_template.jinja, or a "chat_template" in tokenizer_config.json: models that were not trained on chats have none',
    });
  }
  const [plain, withTools] = await guarded(
    `reading the chat template of ${folder}`,
    "a Jinja template",
    (): readonly [Template, Template] => {
      const read = readJinja(text);
      return [read, toolText === undefined ? read : readJinja(toolText)];
    },
  );
  const write = (messages: readonly ChatMessage[], { tools, open = true, marked = false }: ChatOptions = {}) => {
    try {
      if (messages.length === 0) throw new Error("no messages");
      const said = messages.map(asHandedOver);
      // transformers gives tools and documents always, None where there are none, which templates ask for.
      const given = { tools: tools ?? null, documents: null };
      const values = { ...tokens, messages: said, ...given, add_generation_prompt: open };
      return (tools === undefined ? plain : withTools).write(values, marked ? TURN_MARKS : undefined);
    } catch (cause) {
      if (cause instanceof OneloraError) throw cause;
      throw new OneloraError({
        attempted: `writing a chat by the template of ${folder}`,
        found: (cause as Error).message.split("\n")[0],
        allowed: "messages that it takes",
      }, { cause });
    }
  };
  return Object.assign(write, { marks: plain.marks && withTools.marks });
}
