/**
 * Text as token ids and back, by a checkpoint's `tokenizer.model` (SentencePiece's format), as LLaMA's first releases have it.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import type { Json } from "../config.ts";
import type { TextTokenizer } from "./text_tokenizer.ts";

/** SentencePiece itself, compiled to WebAssembly. */
const LIBRARY = "npm:@agnai/sentencepiece-js@1.1.1";

/** What is used of it. */
interface Processor {
  load(path: string): Promise<void>;
  encodeIds(text: string): readonly number[];
  decodeIds(ids: Int32Array): string;
}

async function loadLibrary(): Promise<new () => Processor> {
  try {
    // Not a literal at the point of import: only folders without a tokenizer.json need it.
    const specifier = LIBRARY;
    return (await import(specifier)).SentencePieceProcessor;
  } catch (cause) {
    throw new OneloraError({
      attempted: `loading ${LIBRARY}`,
      found: (cause as Error).message.split("\n")[0],
      allowed: "an npm registry in reach on first use",
    }, { cause });
  }
}

/**
 * Opens a `tokenizer.model`. Texts are taken as they are: one that spells `</s>` does not end there. Needs `--allow-read`.
 *
 * @param path The file
 * @param config `tokenizer_config.json`, of which `add_bos_token` and `add_eos_token` count
 * @throws OneloraError if the file is missing or malformed
 */
export async function openSentencePiece(path: string, config: Json): Promise<TextTokenizer> {
  const processor = new (await loadLibrary())();
  await guarded(`reading ${path}`, "a SentencePiece model", async () => {
    await processor.load(path);
    // A file of something else is only noticed when it is used.
    if (processor.encodeIds("a").length === 0) throw new TypeError("a model without pieces");
  });
  // SentencePiece's own, and LLaMA's.
  const [begin, end] = [1, 2];
  const before = config.add_bos_token === false ? [] : [begin];
  const after = config.add_eos_token === true ? [end] : [];
  const frames: Readonly<Record<number, string>> = { [begin]: "<s>", [end]: "</s>" };
  const decode = (ids: readonly number[]) => ids.length === 0 ? "" : processor.decodeIds(Int32Array.from(ids));
  return {
    begin,
    end,
    encode: (text, { special = true } = {}) => {
      const ids = text === "" ? [] : processor.encodeIds(text);
      return special ? [...before, ...ids, ...after] : ids;
    },
    decode: (ids, { special = false } = {}) => {
      if (!special) return decode(ids.filter((id) => frames[id] === undefined));
      const cuts = [-1, ...ids.keys().filter((i) => frames[ids[i]] !== undefined), ids.length];
      return cuts.slice(1).map((cut, k) => decode(ids.slice(cuts[k] + 1, cut)) + (frames[ids[cut]] ?? "")).join("");
    },
  };
}
