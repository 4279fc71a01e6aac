/**
 * Tokens that texts are cut at before anything else is done with them, as the tokenizers library finds them.
 *
 * @module
 */
import type { AddedToken } from "../../companions/tokens.ts";
import { SPACE } from "./component.ts";

/** A stretch of a text: one of the tokens, or text between them. */
export interface Section {
  /** Its text, without the white space that a token takes. */
  readonly text: string;
  /** Where it begins. */
  readonly begin: number;
  /** The token, if it is one. */
  readonly token?: AddedToken;
}

const before = new RegExp(`${SPACE}*$`, "u");
const behind = new RegExp(`^${SPACE}*`, "u");

/**
 * Cuts texts at tokens: the leftmost first, the longest of those that begin at one place.
 *
 * @param tokens Tokens by the text that they are found by
 */
export function cutter(tokens: ReadonlyMap<string, AddedToken>): (text: string) => readonly Section[] {
  const longestFirst = [...tokens.keys()].filter((text) => text !== "").sort((a, b) => b.length - a.length);
  const byLetter = Map.groupBy(longestFirst, (text) => text[0]);
  return (text) => {
    const sections: Section[] = [];
    let end = 0;
    for (let at = 0; at < text.length;) {
      const found = byLetter.get(text[at])?.find((each) => text.startsWith(each, at));
      if (found === undefined) {
        at++;
        continue;
      }
      const token = tokens.get(found)!;
      const after = at + found.length;
      const begin = token.lstrip ? Math.max(end, at - before.exec(text.slice(0, at))![0].length) : at;
      if (end < begin) sections.push({ text: text.slice(end, begin), begin: end });
      end = after + (token.rstrip ? behind.exec(text.slice(after))![0].length : 0);
      // Of white space that a token took, none is left to take.
      if (begin < end) sections.push({ text: found, begin, token });
      at = after;
    }
    if (end < text.length) sections.push({ text: text.slice(end), begin: end });
    return sections;
  };
}
