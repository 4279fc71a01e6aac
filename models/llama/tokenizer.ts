/**
 * Text as token ids and back, by a checkpoint's `tokenizer.json` (Hugging Face tokenizers' format) or `tokenizer.model`.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { checkNesting, isObject, show } from "../../dsl/files/json.ts";
import { slowToMatch } from "../../dsl/files/pattern.ts";
import { readText } from "../../dsl/files/read.ts";
import { statOf } from "../../dsl/files/store.ts";
import type { Json } from "../config.ts";
import { parsePythonJson, readJsonIfThere } from "../../dsl/files/python_json.ts";
import { readEnds } from "../companions/generation.ts";
import { addedTokens, specialTokens, withAdded } from "../companions/tokens.ts";
import { checkTokenizer } from "../companions/tokenizer.ts";
import { openSentencePiece } from "./sentencepiece.ts";
import type { TextTokenizer } from "./text_tokenizer.ts";
import { cleanedUp } from "./tokenizer/decode.ts";
import { asItsClassLoads } from "./tokenizer/llama_class.ts";
import { pipelineOf } from "./tokenizer/pipeline.ts";

async function readJson(path: string, allowed: string): Promise<Json> {
  return await guarded(`reading ${path}`, allowed, async () => {
    const text = await readText(path);
    checkNesting(text);
    const json = parsePythonJson(text.replace(/^\uFEFF/, ""));
    if (isObject(json)) return json;
    throw new TypeError("no JSON object");
  });
}

/** A token of `tokenizer_config.json`: its text, or an object that has it. */
function tokenText(config: Json, name: string): string | undefined {
  const value = config[name] ?? undefined;
  const content = typeof value === "object" ? (value as Json).content : value;
  if (content === undefined || typeof content === "string") return content;
  throw new OneloraError({
    attempted: `reading "${name}" of tokenizer_config.json`,
    found: JSON.stringify(value),
    allowed: "a token's text, or an object with its content",
  });
}

/** Refuses a tokenizer with a regular expression (`{"Regex": PATTERN}`, anywhere) that may take for ever over a text. */
function checkPatterns(path: string, part: unknown): void {
  if (Array.isArray(part)) { for (const each of part) checkPatterns(path, each); }
  if (!isObject(part)) return;
  for (const [name, value] of Object.entries(part)) {
    // Vocabularies hold no patterns, only a great many tokens.
    if (name === "vocab" || name === "merges" || name === "added_tokens") continue;
    const slow = name === "Regex" && typeof value === "string" ? slowToMatch(value) : undefined;
    if (slow === undefined) checkPatterns(path, value);
    else {
      const allowed = "a pattern whose matching is sure to end";
      throw new OneloraError({ attempted: `reading ${path}`, found: `the pattern ${show(value)}, ${slow}`, allowed });
    }
  }
}

/** Whether a file is there. */
async function exists(path: string): Promise<boolean> {
  return await statOf(path).then(() => true, () => false);
}

/**
 * Opens the tokenizer of a checkpoint's folder: `tokenizer.json` and `tokenizer_config.json`, or where there is none,
 * SentencePiece's `tokenizer.model`. Needs `--allow-read`.
 *
 * @param folder The folder
 * @throws OneloraError if a file is missing or malformed, or names a token that does not exist
 */
export async function openTokenizer(folder: string): Promise<TextTokenizer> {
  const path = `${folder}/tokenizer.json`;
  const allowed = "a tokenizer that Hugging Face's tokenizers library saved";
  const configPath = `${folder}/tokenizer_config.json`;
  const configAllowed = "the configuration beside tokenizer.json";
  const model = `${folder}/tokenizer.model`;
  const isSentencePiece = !await exists(path) && await exists(model);
  // A tokenizer.json alone does not say which tokens begin and end a text; a model of SentencePiece's does.
  const mayLack = isSentencePiece || await exists(`${folder}/special_tokens_map.json`);
  if (!isSentencePiece && !await exists(path)) await readJson(path, allowed);
  await checkTokenizer(folder);
  const tokenizerConfig = mayLack && !await exists(configPath) ? {} : await readJson(configPath, configAllowed);
  if (isSentencePiece) {
    const stops = await readEnds(folder, (await readJsonIfThere(`${folder}/config.json`))?.json ?? {});
    const added = await addedTokens(folder, tokenizerConfig);
    const opened = await openSentencePiece(model, await specialTokens(folder, tokenizerConfig), added);
    return { ...opened, ends: [...new Set([...stops, ...opened.end === undefined ? [] : [opened.end]])] };
  }
  const modelConfig = (await readJsonIfThere(`${folder}/config.json`))?.json ?? {};
  const stops = await readEnds(folder, modelConfig);
  const beside = await specialTokens(folder, tokenizerConfig);
  const { json: written, config } = asItsClassLoads(await readJson(path, allowed), beside, modelConfig);
  const json = withAdded(written, await addedTokens(folder, tokenizerConfig), config);
  checkPatterns(path, json);
  const pipeline = await guarded(`reading ${path}`, allowed, () => pipelineOf(json));
  const idOf = (name: string): number | undefined => {
    const token = tokenText(config, name);
    const id = token === undefined ? undefined : pipeline.idOf(token);
    // Of a class's own token, which the file does not name, there may be none.
    if (token === undefined || id !== undefined || beside[name] === undefined) return id;
    throw new OneloraError({
      attempted: `reading "${name}" of tokenizer_config.json`,
      found: `"${token}"`,
      allowed: "a token of tokenizer.json",
    });
  };
  // As transformers 5 does it: BPE's spaces are the text's own.
  const forced = config.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output === true;
  const cleans = config.clean_up_tokenization_spaces === true && (pipeline.model !== "BPE" || forced);
  const { before, behind } = pipeline.frame;
  return {
    begin: idOf("bos_token"),
    end: idOf("eos_token"),
    ends: [...new Set([...stops, idOf("eos_token")].filter((id) => id !== undefined))],
    encode: (text, { special = true } = {}) => {
      const ids = pipeline.encode(text);
      return special ? [...before, ...ids, ...behind] : ids;
    },
    decode: (ids, options) => {
      const text = pipeline.decode(ids, options);
      return cleans ? cleanedUp(text) : text;
    },
  };
}

/** Most bytes of a character that may be missing its last one. */
const MOST_BYTES = 3;

/**
 * The text of token ids as far as it is settled: a character of which only some bytes have come is left out.
 *
 * @param tokenizer The tokenizer
 * @param ids Token ids so far
 */
export function settledText(tokenizer: TextTokenizer, ids: readonly number[]): string {
  const text = tokenizer.decode(ids);
  if (!text.endsWith("\uFFFD")) return text;
  // Where one byte is missing, a decoder may take the whole stretch of bytes for none.
  for (let left = 1; left <= Math.min(MOST_BYTES, ids.length); left++) {
    const shorter = tokenizer.decode(ids.slice(0, -left));
    if (!shorter.endsWith("\uFFFD")) return shorter;
  }
  return text.replace(/\uFFFD+$/, "");
}
