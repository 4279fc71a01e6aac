/**
 * Where the paper's tables count trainable parameters differently.
 *
 * @module
 */
import { parseMethods } from "../../../adapters/mod.ts";

/** DiffFit in Tables S2 to S7, which leave out what its equation, gamma (W0 x + beta), has. */
const DIFFFIT: Readonly<Record<string, string>> = {
  "depth-anything-large": "321,536: beta and norms, without gamma",
  "llama-2-7b": "1.66M: beta, norms and a bias of the vocabulary's size, without gamma",
  "llama-2-13b": "2.58M: beta, norms and a bias of the vocabulary's size, without gamma",
};

/**
 * What the paper prints instead of our count, and why; nothing where it prints the same.
 *
 * @param model Preset name
 * @param adapter Method
 * @param trainable Our count, the head left out
 */
export function paperNote(model: string, adapter: string, trainable: number): string | undefined {
  if (model === "vit-base") {
    return `the paper counts four models: 4 x ${trainable.toLocaleString("en-US")} = ${
      (4 * trainable).toLocaleString("en-US")
    }`;
  }
  const [method, ...others] = parseMethods(adapter);
  const printed = DIFFFIT[model.replace(/-(in|out)door$/, "")];
  if (method.name !== "difffit" || others.length > 0 || printed === undefined) return undefined;
  return `the paper prints ${printed}; here as in its equation, gamma (W0 x + beta), norms trained`;
}
