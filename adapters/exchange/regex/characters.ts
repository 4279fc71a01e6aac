/**
 * Which characters a part of a regular expression takes: escapes, classes and sets.
 *
 * @module
 */
import type { Cursor } from "./cursor.ts";

/** Whether a character is one of those meant. */
export type Holds = (character: string) => boolean;

const isDigit: Holds = (character) => character >= "0" && character <= "9";
const isSpace: Holds = (character) => " \t\n\r\f\v\x1c\x1d\x1e\x1f\x85\xa0".includes(character);
const not = (holds: Holds): Holds => (character) => !holds(character);

const CLASSES: Readonly<Record<string, Holds>> = {
  d: isDigit,
  D: not(isDigit),
  w: isWord,
  W: not(isWord),
  s: isSpace,
  S: not(isSpace),
};
const CONTROLS: Readonly<Record<string, string>> = {
  a: "\x07",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
};
const HEXADECIMAL: Readonly<Record<string, number>> = { x: 2, u: 4 };

/** Whether a character is one of words, as Python means it. */
export function isWord(character: string): boolean {
  return /^[\p{L}\p{N}_]$/u.test(character);
}

/** A class such as `\d`, after the backslash. */
export function classAt({ peek, next }: Cursor): Holds | undefined {
  const name = peek();
  return name !== undefined && Object.hasOwn(CLASSES, name) ? CLASSES[next()] : undefined;
}

/** One character, after `\`. */
export function escaped({ peek, next, takeMatch, refuse }: Cursor, inSet: boolean): string {
  const hex = takeMatch(/x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}/);
  if (hex !== null) return String.fromCharCode(parseInt(hex[0].slice(1), 16));
  const octal = takeMatch(inSet ? /[0-7]{1,3}/ : /0[0-7]{0,2}|[1-3][0-7]{2}/);
  if (octal !== null) return String.fromCharCode(parseInt(octal[0], 8));
  const character = peek();
  if (character === undefined) return refuse("a \\ at the end");
  if (isDigit(character)) return refuse(`the backreference \\${character}`);
  if (Object.hasOwn(HEXADECIMAL, character)) return refuse(`\\${character} without ${HEXADECIMAL[character]} digits`);
  next();
  if (Object.hasOwn(CONTROLS, character)) return CONTROLS[character];
  if (inSet && character === "b") return "\b";
  return /[a-zA-Z]/.test(character) ? refuse(`\\${character}`) : character;
}

/** A character itself. */
export function literal(character: string, ignoreCase: boolean): Holds {
  const lower = character.toLowerCase();
  return ignoreCase ? (other) => other.toLowerCase() === lower : (other) => other === character;
}

/** A set, after `[`. */
export function setOf(cursor: Cursor, ignoreCase: boolean): Holds {
  const { peek, next, takes, refuse } = cursor;
  const negated = takes("^");
  const members: Holds[] = [];
  const single = (): string | Holds => takes("\\") ? classAt(cursor) ?? escaped(cursor, true) : next();
  for (let first = true; first || !takes("]"); first = false) {
    if (peek() === undefined) refuse("a [ without its ]");
    const from = single();
    if (peek() === "-" && peek(1) !== "]" && peek(1) !== undefined) {
      next();
      const to = single();
      if (typeof from !== "string" || typeof to !== "string" || from > to) return refuse("a bad range in a set");
      members.push((character) => character >= from && character <= to);
    } else {
      members.push(typeof from === "string" ? (character) => character === from : from);
    }
  }
  const among: Holds = (character) => members.some((holds) => holds(character));
  const folded: Holds = ignoreCase
    ? (character) => [character, character.toLowerCase(), character.toUpperCase()].some(among)
    : among;
  return negated ? not(folded) : folded;
}
