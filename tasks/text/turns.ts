/**
 * What of a chat's text the assistant says, and which tokens that is.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { ChatTemplate, TextTokenizer } from "../../models/mod.ts";
import { TURN_MARKS } from "../../models/llama/chat.ts";
import type { Chat } from "./example.ts";

/** A stretch of a text, in UTF-16 units. */
export type Span = readonly [start: number, end: number];

/** A chat as text. */
export interface WrittenChat {
  /** The whole text. */
  readonly text: string;
  /** What the assistant says of it, in order. */
  readonly spans: readonly Span[];
  /** Whether the stretches are the template's own, to the letter. */
  readonly exact: boolean;
}

function failed(found: string, allowed: string): never {
  throw new OneloraError({ attempted: "telling which part of a chat is the assistant's", found, allowed });
}

/** The stretches between the marks that a template put there. */
function marked(text: string): WrittenChat {
  const spans: Span[] = [];
  let plain = "";
  let begin: number | undefined;
  for (const part of text.split(new RegExp(`(${TURN_MARKS.join("|")})`))) {
    if (part === TURN_MARKS[0]) begin = plain.length;
    else if (part !== TURN_MARKS[1]) plain += part;
    else if (begin !== undefined) {
      spans.push([begin, plain.length]);
      begin = undefined;
    }
  }
  return { text: plain, spans, exact: true };
}

/**
 * Writes a chat by a model's template and tells what of it the assistant says: what the template marks as such
 * (`{% generation %}`, as transformers' `return_assistant_tokens_mask`), else what comes behind the text that the template opens
 * the answer with.
 *
 * @param template The template
 * @param chat The chat
 * @throws OneloraError for a template that writes turns otherwise once others follow
 */
export function writeChat(template: ChatTemplate, { messages, tools, given = 0 }: Chat): WrittenChat {
  if (JSON.stringify(messages).search(new RegExp(TURN_MARKS.join("|"))) >= 0) {
    failed("U+FDD0 or U+FDD1 in a message", "text: these two are no characters");
  }
  const answers = messages.flatMap(({ role }, i) => role === "assistant" ? [i] : []);
  if (template.marks) {
    const written = marked(template(messages, { tools, open: false, marked: true }));
    if (written.spans.length !== answers.length && given > 0) {
      failed(`${written.spans.length} marked answers of ${answers.length}`, "a template that marks every answer");
    }
    return { ...written, spans: written.spans.filter((_, i) => given === 0 || answers[i] >= given) };
  }
  const text = template(messages, { tools, open: false });
  const spans = answers.filter((i) => i >= given).map((i): Span => {
    const before = template(messages.slice(0, i), { tools });
    const after = i === messages.length - 1 ? text : template(messages.slice(0, i + 1), { tools, open: false });
    if (text.startsWith(before) && text.startsWith(after) && after.length >= before.length) {
      return [before.length, after.length];
    }
    failed(
      `a chat template that writes message ${i} otherwise once others follow`,
      'a template with {% generation %}, chats of one answer, or "learn": "last"',
    );
  });
  return { text, spans, exact: false };
}

/** How many tokens a beginning of the text takes, if they are the first of the text's own. */
function tokensBefore(tokenizer: TextTokenizer, text: string, ids: readonly number[], at: number) {
  const before = tokenizer.encode(text.slice(0, at), { special: false });
  const differing = before.findIndex((id, i) => ids[i] !== id);
  return differing < 0 ? { whole: before.length, same: before.length } : { whole: undefined, same: differing };
}

/** The token that a character is in. */
function tokenOf(tokenizer: TextTokenizer, text: string, ids: readonly number[], at: number): number {
  const { whole, same } = tokensBefore(tokenizer, text, ids, at);
  if (whole !== undefined) return whole;
  // The text before it is cut otherwise when it goes on.
  let token = same;
  while (token < ids.length - 1 && tokenizer.decode(ids.slice(0, token + 1), { special: true }).length <= at) token++;
  return token;
}

/**
 * Token ids of a text that says its special tokens itself, and which of them stretches of it have a part of. Unless the template
 * says so, what follows a token that ends an answer, such as the line's end, is no part of it.
 *
 * @param tokenizer The tokenizer
 * @param written The text
 * @returns Ids, and as many ones and zeros
 */
export function encodeSpans(
  tokenizer: TextTokenizer,
  { text, spans, exact }: WrittenChat,
): { readonly ids: Int32Array; readonly counts: Uint8Array } {
  const ids = tokenizer.encode(text, { special: false });
  const counts = new Uint8Array(ids.length);
  const ends = tokenizer.ends ?? [];
  for (const [start, end] of spans) {
    if (end === start) continue;
    const from = tokenOf(tokenizer, text, ids, start);
    const to = tokensBefore(tokenizer, text, ids, end).whole ?? tokenOf(tokenizer, text, ids, end - 1) + 1;
    const closing = exact ? -1 : ids.slice(from, to).findLastIndex((id) => ends.includes(id));
    const rest = closing < 0 ? "" : tokenizer.decode(ids.slice(from + closing + 1, to), { special: true });
    counts.fill(1, from, closing >= 0 && rest.trim() === "" ? from + closing + 1 : to);
  }
  return { ids: Int32Array.from(ids), counts };
}
