/**
 * Jinja's text as tokens, as Python's Jinja cuts it with `trim_blocks` and `lstrip_blocks`, which transformers sets.
 *
 * @module
 */

/** What a token is. */
export type TokenKind =
  | "data"
  | "variable_begin"
  | "variable_end"
  | "block_begin"
  | "block_end"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "end";

/** A piece of a template. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

/** White space, as Python has it. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const TRAILING = new RegExp(`[${SPACE}]+$`);
const BLANK = new RegExp(`^[${SPACE}]+$`);
const BLANKS = new RegExp(`[${SPACE}]*`, "y");
const OPENING = new RegExp(`\\{%([-+]?)[${SPACE}]*raw[${SPACE}]*(-?)%\\}|\\{([%#{])([-+]?)`, "g");
const END_RAW = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*([-+]?)%\\}`, "g");
const END_COMMENT = /([-+]?)#\}/g;
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const STRING = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
const OPERATOR = /\/\/|\*\*|[=!<>]=|[-+/*%~[\](){}><=.:|,;]/y;

const CLOSING: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };

/** Escapes of Python's strings that are one character. */
const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** A string as Python reads it between its quotation marks. */
function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|([0-7]{1,3})|([^]))/gi,
    (all, two: string, four: string, eight: string, octal: string, one: string) => {
      const code = all[1] === "X" ? undefined : two ?? four ?? eight;
      if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (one !== undefined && /[xuUN]/.test(one)) throw new Error(`the escape "\\${one}" in a string`);
      return one === undefined ? all : ESCAPES[one] ?? all;
    },
  );
}

/** Reads tokens of an expression or a statement, up to its end. */
class Inside {
  readonly tokens: Token[] = [];
  private readonly open: string[] = [];

  constructor(private readonly text: string, public at: number, private readonly end: "%}" | "}}") {}

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private operator(text: string): void {
    if (text in CLOSING) this.open.push(CLOSING[text]);
    else if ("})]".includes(text) && this.open.pop() !== text) throw new Error(`unexpected "${text}"`);
    this.tokens.push({ kind: "operator", text });
  }

  /** Whether the end is here, and which sign it has. */
  private ended(): string | undefined {
    if (this.open.length > 0) return undefined;
    const { text, at, end } = this;
    if (text.startsWith(end, at)) return "";
    const sign = text[at];
    const signs = end === "%}" ? ["-", "+"] : ["-"];
    return signs.includes(sign) && text.startsWith(end, at + 1) ? sign : undefined;
  }

  /** Reads to the end, and returns its sign. */
  read(): string {
    for (;;) {
      this.match(BLANKS);
      const sign = this.ended();
      if (sign !== undefined) {
        this.at += sign.length + 2;
        return sign;
      }
      if (this.at >= this.text.length) throw new Error(`a tag without its "${this.end}"`);
      const number = this.match(FLOAT);
      if (number !== undefined) this.tokens.push({ kind: "float", text: number.replaceAll("_", "") });
      else this.other();
    }
  }

  private other(): void {
    const name = this.match(NAME);
    if (name !== undefined) return void this.tokens.push({ kind: "name", text: name });
    const integer = this.match(INTEGER);
    if (integer !== undefined) return void this.tokens.push({ kind: "integer", text: integer.replaceAll("_", "") });
    const string = this.match(STRING);
    if (string !== undefined) return void this.tokens.push({ kind: "string", text: unescaped(string.slice(1, -1)) });
    const operator = this.match(OPERATOR);
    if (operator === undefined) throw new Error(`unexpected "${this.text[this.at]}"`);
    this.operator(operator);
  }
}

/**
 * Cuts a template.
 *
 * @param source The template
 * @throws Error for what is no Jinja
 */
export function tokens(source: string): readonly Token[] {
  // Whatever a line ends in, it is one; the last one's end is not written.
  const text = source.replaceAll(/\r\n?/g, "\n").replace(/\n$/, "");
  const all: Token[] = [];
  let at = 0;
  // Whether what follows begins a line.
  let starting = true;
  const data = (upTo: number, sign: string, keepsBlanks: boolean) => {
    let piece = text.slice(at, upTo);
    if (sign === "-") piece = piece.replace(TRAILING, "");
    else if (sign !== "+" && !keepsBlanks) {
      const line = piece.lastIndexOf("\n") + 1;
      if ((line > 0 || starting) && BLANK.test(piece.slice(line))) piece = piece.slice(0, line);
    }
    if (piece !== "") all.push({ kind: "data", text: piece });
  };
  /** Goes on behind a tag: without blanks, or without the line's end behind a block. */
  const behind = (place: number, sign: string, trims: boolean) => {
    at = place;
    if (sign === "-") {
      BLANKS.lastIndex = at;
      at += BLANKS.exec(text)![0].length;
    } else if (sign === "" && trims && text[at] === "\n") at++;
    starting = text[at - 1] === "\n";
  };
  for (;;) {
    OPENING.lastIndex = at;
    const opening = OPENING.exec(text);
    if (opening === null) break;
    const [all_, rawSign, rawEnd, kind, sign] = opening;
    const inside = opening.index + all_.length;
    if (kind === undefined) {
      data(opening.index, rawSign, false);
      behind(inside, rawEnd, false);
      END_RAW.lastIndex = at;
      const end = END_RAW.exec(text);
      if (end === null) throw new Error('"raw" without its "endraw"');
      data(end.index, end[1], false);
      behind(end.index + end[0].length, end[2], true);
    } else if (kind === "#") {
      data(opening.index, sign, false);
      END_COMMENT.lastIndex = inside;
      const end = END_COMMENT.exec(text);
      if (end === null) throw new Error('a comment without its "#}"');
      behind(end.index + end[0].length, end[1], true);
    } else {
      const isBlock = kind === "%";
      data(opening.index, sign, !isBlock);
      const reader = new Inside(text, inside, isBlock ? "%}" : "}}");
      const end = reader.read();
      all.push({ kind: isBlock ? "block_begin" : "variable_begin", text: all_ });
      all.push(...reader.tokens, { kind: isBlock ? "block_end" : "variable_end", text: isBlock ? "%}" : "}}" });
      behind(reader.at, end, isBlock);
    }
  }
  const rest = text.slice(at);
  if (rest !== "") all.push({ kind: "data", text: rest });
  return [...all, { kind: "end", text: "" }];
}
