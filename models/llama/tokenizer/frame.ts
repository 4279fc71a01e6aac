/**
 * Post-processors of a `tokenizer.json`: the tokens before and behind a text.
 *
 * @module
 */
import { isObject } from "../../../dsl/files/json.ts";
import type { Json } from "../../config.ts";
import { partsOf, typeOf, wrongPart } from "./component.ts";

/** Ids before and behind a text's own. */
export interface Frame {
  /** Ids before. */
  readonly before: readonly number[];
  /** Ids behind. */
  readonly behind: readonly number[];
}

const KNOWN = {
  BertProcessing: ["sep", "cls"],
  ByteLevel: ["add_prefix_space", "trim_offsets", "use_regex"],
  RobertaProcessing: ["sep", "cls", "trim_offsets", "add_prefix_space"],
  Sequence: ["processors"],
  TemplateProcessing: ["single", "pair", "special_tokens"],
} as const;

const NONE: Frame = { before: [], behind: [] };

function idOf(json: Json, name: string, place: string): number {
  const value = json[name];
  const id = Array.isArray(value) ? value[1] : undefined;
  if (Number.isInteger(id)) return id;
  throw wrongPart(`${place}.${name}`, value, "a token with its id");
}

function template(json: Json, place: string): Frame {
  const single = partsOf(json, "single", place);
  const special = isObject(json.special_tokens) ? json.special_tokens : {};
  const isText = (item: unknown) => isObject(item) && isObject(item.Sequence) && item.Sequence.id === "A";
  const at = single.findIndex(isText);
  const ids = single.map((item): readonly number[] => {
    const name = isObject(item) && isObject(item.SpecialToken) ? item.SpecialToken.id : undefined;
    const token = typeof name === "string" ? special[name] : undefined;
    if (isObject(token) && Array.isArray(token.ids) && token.ids.every(Number.isInteger)) return token.ids;
    if (isText(item)) return [];
    throw wrongPart(`${place}.single`, item, "the text, and tokens of special_tokens");
  });
  if (at < 0 || single.filter(isText).length > 1) throw wrongPart(`${place}.single`, single, "the text once");
  return { before: ids.slice(0, at).flat(), behind: ids.slice(at + 1).flat() };
}

/**
 * The frame that a file puts around a text.
 *
 * @param part Its part, null for none
 * @param place Where it is, for the words
 * @throws OneloraError for a type or a setting that is not known
 */
export function frameOf(part: unknown, place = "post_processor"): Frame {
  if (part === null || part === undefined) return NONE;
  const { type, json } = typeOf(part, place, KNOWN);
  switch (type) {
    case "BertProcessing":
    case "RobertaProcessing":
      return { before: [idOf(json, "cls", place)], behind: [idOf(json, "sep", place)] };
    case "ByteLevel":
      return NONE;
    case "Sequence": {
      const parts = partsOf(json, "processors", place);
      const frames = parts.map((each, i) => frameOf(each, `${place}.processors[${i}]`));
      // What comes behind a template acts on each of its pieces by itself.
      const first = parts.findIndex((part) => isObject(part) && part.type === "TemplateProcessing");
      const second = frames.findIndex((frame, i) => first >= 0 && i > first && frame !== NONE);
      if (second >= 0) {
        throw wrongPart(`${place}.processors[${second}]`, parts[second], "no tokens behind those of a template");
      }
      return frames.reduce(
        (inner, outer) => ({
          before: [...outer.before, ...inner.before],
          behind: [...inner.behind, ...outer.behind],
        }),
        NONE,
      );
    }
    case "TemplateProcessing":
      return template(json, place);
  }
}
