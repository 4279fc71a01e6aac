/**
 * The memory that a tokenizer takes.
 *
 * @module
 */
import { statOf } from "../../dsl/files/store.ts";
import { isGguf } from "../gguf/checkpoint.ts";
import type { Model } from "../model.ts";

/** Measured on Deno 2.9: 19 MB stay of a `tokenizer.json` of 3.5 MB (49,152 tokens), 7.5 MB of one of 1.4 MB (20,000). */
const BYTES_OF_A_BYTE = 5.5;

/** The same of a GGUF file's header of 49,152 tokens, whose lists are read and made into a `tokenizer.json`: 39 MB. */
const BYTES_OF_A_TOKEN = 800;

/**
 * Bytes of a process that a model's tokenizer takes; what reading it leaves behind is taken again by what comes after.
 *
 * @param model The model
 */
export async function tokenizerBytes(
  { folder, weights, config }: Pick<Model, "folder" | "weights" | "config">,
): Promise<number> {
  if (weights !== undefined && isGguf(weights)) return BYTES_OF_A_TOKEN * Number(config.vocab_size ?? 0);
  if (folder === undefined) return 0;
  const sizes = ["tokenizer.json", "tokenizer.model"].map((name) =>
    statOf(`${folder}/${name}`).then(({ size = 0 }) => size, () => 0)
  );
  return Math.round(BYTES_OF_A_BYTE * ((await Promise.all(sizes)).find((size) => size > 0) ?? 0));
}
