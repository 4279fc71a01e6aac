/**
 * A text that is read from left to right.
 *
 * @module
 */

/** Why a text is no regular expression that can be used here. */
export class RegexError extends Error {}

/** A place in a text that moves on with what is taken. */
export interface Cursor {
  /** The next character, or one of those after it; undefined beyond the end. */
  readonly peek: (ahead?: number) => string | undefined;
  /** Takes the next character. */
  readonly next: () => string;
  /** Takes a text if it is what comes next. */
  readonly takes: (expected: string) => boolean;
  /** Takes what matches a pattern, if it is what comes next. */
  readonly takeMatch: (pattern: RegExp) => RegExpExecArray | null;
  /** Throws a {@linkcode RegexError} that names the place. */
  readonly refuse: (what: string) => never;
}

/**
 * A cursor at the beginning of a text.
 *
 * @param text The text
 */
export function cursorOver(text: string): Cursor {
  let at = 0;
  return {
    peek: (ahead = 0) => text[at + ahead],
    next: () => text[at++],
    takes: (expected) => {
      if (!text.startsWith(expected, at)) return false;
      at += expected.length;
      return true;
    },
    takeMatch: (pattern) => {
      const match = new RegExp(pattern.source, "y");
      match.lastIndex = at;
      const found = match.exec(text);
      if (found !== null) at += found[0].length;
      return found;
    },
    refuse: (what) => {
      throw new RegexError(`${what} at character ${at}`);
    },
  };
}
