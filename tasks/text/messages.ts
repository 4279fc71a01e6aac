/**
 * Chats in rows of data: messages, ShareGPT's turns, tools, and what they say that is not acted on.
 *
 * @module
 */
import { isObject } from "../../dsl/files/json.ts";
import { parsePythonJson } from "../../dsl/files/python_json.ts";
import type { ChatMessage } from "../../models/mod.ts";
import { isText } from "../reasoning/rows.ts";
import type { TextExample, TextRow } from "./example.ts";

/** Fields that say nothing, which tables have where other rows say something. */
function withoutNulls(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(value).filter(([name, each]) => name === "content" || (each !== null && each !== undefined)),
  );
}

/** Marks that other programs have of what is not to be learned, and their values at which it is. */
const MARKS: Readonly<Record<string, readonly unknown[]>> = {
  weight: [1, 1n],
  mask: [false, 0, 0n],
  train: [true],
  training: [true],
  loss: [true, 1, 1n],
};

/** What a message says that is not heard here, if anything. */
function unheardIn(message: Readonly<Record<string, unknown>>): string | undefined {
  const mark = Object.entries(MARKS).find(([name, heard]) => !heard.includes(message[name] ?? heard[0]));
  if (mark !== undefined) return `"${mark[0]}": ${JSON.stringify(message[mark[0]])}, which is not honoured,`;
  const parts = Array.isArray(message.content) ? message.content : [];
  const other = parts.find((part) => !isObject(part) || typeof part.text !== "string");
  return other === undefined ? undefined : `a part that is no text`;
}

/** Messages with a system prompt that stands in a column of its own. */
export function afterSystem(
  messages: readonly ChatMessage[] | string,
  system: unknown,
): readonly ChatMessage[] | string {
  if (typeof messages === "string" || !isText(system)) return messages;
  const [first] = messages;
  if (first.role !== "system") return [{ role: "system", content: system }, ...messages];
  return first.content === system ? messages : 'a system prompt in "system" and another in the chat';
}

/** A message whose parts, which are texts, are one: templates of language models take a text. */
function inOneText(message: TextRow): TextRow {
  const { content } = message;
  return Array.isArray(content) ? { ...message, content: content.map(({ text }) => text).join("") } : message;
}

/** A list of messages, or what is wrong with it. */
export function messagesOf(value: unknown, column: string): readonly ChatMessage[] | string {
  if (!Array.isArray(value) || value.length === 0) return `no list of messages in "${column}"`;
  for (const [i, message] of value.entries()) {
    if (!isObject(message) || !isText(message.role)) return `no role in message ${i} of "${column}"`;
    const { content, tool_calls: calls } = message;
    const isContent = typeof content === "string" || Array.isArray(content);
    if (!isContent && !Array.isArray(calls)) return `no content in message ${i} of "${column}"`;
    const unheard = unheardIn(message);
    if (unheard !== undefined) return `${unheard} in message ${i} of "${column}"`;
  }
  return value.map((message) => withoutNulls(inOneText(message)) as unknown as ChatMessage);
}

/** Descriptions of functions: a list, or the JSON of one. */
function toolsOf(value: unknown): { readonly tools?: readonly unknown[] } | string {
  if (value === undefined || value === null || value === "") return {};
  let tools: unknown = value;
  try {
    if (typeof value === "string") tools = parsePythonJson(value, true);
  } catch {
    // Said below.
  }
  return Array.isArray(tools) ? (tools.length === 0 ? {} : { tools }) : 'no list of functions in "tools"';
}

/** A chat to learn from, or what is wrong with it. */
export function chat(messages: readonly ChatMessage[] | string, tools: unknown, given = 0): TextExample | string {
  if (typeof messages === "string") return messages;
  const described = toolsOf(tools);
  if (typeof described === "string") return described;
  if (!messages.slice(given).some(({ role }) => role === "assistant")) return "no message of the assistant's to learn";
  return { kind: "chat", messages, ...described, ...(given === 0 ? {} : { given }) };
}

/** Who speaks in ShareGPT's files, as chat templates call them. */
const SPEAKERS: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  model: "assistant",
  assistant: "assistant",
  system: "system",
  tool: "tool",
  observation: "tool",
  function_response: "tool",
};

/** ShareGPT's turns `{ from, value }` as messages, or what is wrong with them. */
export function turnsOf(value: unknown): readonly ChatMessage[] | string {
  if (!Array.isArray(value) || value.length === 0) return 'no list of turns in "conversations"';
  // Some files of that name have messages.
  if (value.every((turn) => isObject(turn) && "role" in turn && "content" in turn)) {
    return messagesOf(value, "conversations");
  }
  const messages: ChatMessage[] = [];
  for (const [i, turn] of value.entries()) {
    const { from, value: said } = isObject(turn) ? turn : {};
    const role = typeof from === "string" && Object.hasOwn(SPEAKERS, from) ? SPEAKERS[from] : undefined;
    if (role === undefined) return `turn ${i} of "conversations" from ${JSON.stringify(from) ?? "nobody"}`;
    if (typeof said !== "string") return `no value in turn ${i} of "conversations"`;
    const unheard = unheardIn(turn as TextRow);
    if (unheard !== undefined) return `${unheard} in turn ${i} of "conversations"`;
    messages.push({ role, content: said });
  }
  return messages;
}
