/**
 * Text as token ids and back, by a checkpoint's `tokenizer.model` (SentencePiece's format), as LLaMA's first releases have it.
 *
 * @module
 */
import { guarded, openRanged } from "../../dsl/files/file.ts";
import type { Json } from "../config.ts";
import type { AddedToken } from "../companions/tokens.ts";
import type { TextTokenizer } from "./text_tokenizer.ts";
import { onDemand } from "../../dsl/on_demand.ts";
import { quoted } from "./tokenizer/component.ts";

/** SentencePiece itself, compiled to WebAssembly. */
const LIBRARY = "npm:@agnai/sentencepiece-js@1.1.1";

/** What is used of it. */
interface Processor {
  load(path: string): Promise<void>;
  encodeIds(text: string): readonly number[];
  decodeIds(ids: Int32Array): string;
  /** The library's module. */
  readonly sentencepiece: {
    readonly FS: { writeFile(path: string, bytes: Uint8Array): void };
    readonly StringView: new (text: string) => { getView(): unknown };
  };
  /** The model within it. */
  readonly processor: { Load(path: unknown): { delete(): void } };
}

/** A number as protobuf writes it, and the number at a place. */
function varint(value: number): readonly number[] {
  return value < 128 ? [value] : [value & 127 | 128, ...varint(Math.floor(value / 128))];
}

function readVarint(bytes: Uint8Array, at: number): readonly [value: number, next: number] {
  let [value, scale, next] = [0, 1, at];
  for (;; scale *= 128) {
    const byte = bytes[next++];
    value += (byte & 127) * scale;
    if (!(byte & 128)) return [value, next];
  }
}

function joined(parts: readonly ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/**
 * A SentencePiece model that puts no space before a text: `add_dummy_prefix` (field 3) of its `normalizer_spec` (field 3) is
 * false. Protobuf takes the last value that a field has.
 */
function withoutPrefix(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const [FIELD, OFF] = [0x1a, [0x18, 0]];
  for (let at = 0; at < bytes.length;) {
    const begin = at;
    const [tag, afterTag] = readVarint(bytes, at);
    if ((tag & 7) !== 2) throw new TypeError("a model of another layout");
    const [length, content] = readVarint(bytes, afterTag);
    at = content + length;
    if (tag !== FIELD) continue;
    const head = [FIELD, ...varint(length + OFF.length)];
    return joined([bytes.subarray(0, begin), head, bytes.subarray(content, at), OFF, bytes.subarray(at)]);
  }
  return joined([bytes, [FIELD, OFF.length], OFF]);
}

/** The model for what follows an added token, which has no space put before it. */
async function openContinuing(Library: new () => Processor, path: string): Promise<Processor> {
  const processor = new Library();
  await processor.load(path);
  const { FS, StringView } = processor.sentencepiece;
  FS.writeFile("sentencepiece.model", withoutPrefix(await Deno.readFile(path)));
  processor.processor.Load(new StringView("sentencepiece.model").getView()).delete();
  return processor;
}

/** A pattern that finds the longest added token first, with the white space that it takes. */
function patternOf(added: readonly AddedToken[]): RegExp {
  const tokens = [...added].sort((a, b) => b.content.length - a.content.length).map(({ content, lstrip, rstrip }) =>
    `${lstrip ? "\\s*" : ""}${quoted(content)}${rstrip ? "\\s*" : ""}`
  );
  return new RegExp(`(${tokens.join("|")})`);
}

async function loadLibrary(): Promise<new () => Processor> {
  // Only folders without a tokenizer.json need it.
  return (await onDemand<{ readonly SentencePieceProcessor: new () => Processor }>(LIBRARY)).SentencePieceProcessor;
}

/**
 * Opens a `tokenizer.model`. Texts are taken as they are: one that spells `</s>` does not end there. Needs `--allow-read`.
 *
 * @param path The file
 * @param config `tokenizer_config.json`, of which `add_bos_token` and `add_eos_token` count
 * @param added Tokens that texts are cut at first; what follows one has no space put before it, as in transformers 5
 * @throws OneloraError if the file is missing or malformed
 */
export async function openSentencePiece(
  path: string,
  config: Json,
  added: readonly AddedToken[] = [],
): Promise<TextTokenizer> {
  // What is no such file is said before the library is fetched.
  await (await openRanged(path)).close();
  const Library = await loadLibrary();
  const processor = new Library();
  await guarded(`reading ${path}`, "a SentencePiece model", async () => {
    await processor.load(path);
    // A file of something else is only noticed when it is used.
    if (processor.encodeIds("a").length === 0) throw new TypeError("a model without pieces");
  });
  // SentencePiece's own, and LLaMA's.
  const [begin, frameEnd] = [1, 2];
  const frames: Readonly<Record<number, string>> = { [begin]: "<s>", [frameEnd]: "</s>" };
  const tokens = added.filter(({ id }) => frames[id] === undefined && id !== 0);
  const named = config.eos_token ?? undefined;
  const text = typeof named === "object" ? (named as Json).content : named;
  const end = tokens.find(({ content }) => content === text)?.id ?? frameEnd;
  const before = config.add_bos_token === false ? [] : [begin];
  const after = config.add_eos_token === true ? [end] : [];
  const continuing = tokens.length === 0 ? processor : await guarded(
    `reading ${path}`,
    "a SentencePiece model",
    () => openContinuing(Library, path),
  );
  const pattern = patternOf(tokens);
  const byText = new Map(tokens.map(({ content, id }) => [content, id]));
  const byId = new Map(tokens.map((token) => [token.id, token]));
  const idsOf = (text: string): readonly number[] => {
    const parts = tokens.length === 0 ? [text] : text.split(pattern);
    return parts.flatMap((part, i) => {
      if (i % 2 === 1) return byText.get(part) ?? byText.get(part.trim())!;
      return part === "" ? [] : (i === 0 ? processor : continuing).encodeIds(part);
    });
  };
  const plain = (ids: readonly number[], first: boolean) =>
    ids.length === 0 ? "" : (first ? processor : continuing).decodeIds(Int32Array.from(ids));
  return {
    begin,
    end,
    encode: (text, { special = true } = {}) => {
      const ids = idsOf(text);
      return special ? [...before, ...ids, ...after] : ids;
    },
    decode: (ids, { special = false } = {}) => {
      const shown = special ? ids : ids.filter((id) => frames[id] === undefined && !byId.get(id)?.special);
      const wordOf = (id: number) => frames[id] ?? byId.get(id)?.content;
      const cuts = [-1, ...shown.keys().filter((i) => wordOf(shown[i]) !== undefined), shown.length];
      return cuts.slice(1).map((cut, k) => {
        const follows = byId.has(shown[cuts[k]]);
        return plain(shown.slice(cuts[k] + 1, cut), !follows) + (wordOf(shown[cut]) ?? "");
      }).join("");
    },
  };
}
