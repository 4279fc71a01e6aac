/**
 * The files beside a checkpoint's weights that say how texts and images become its inputs.
 *
 * @module
 */
import { guarded } from "../../dsl/files/file.ts";
import { writeWhole } from "../../dsl/files/write.ts";

/** Their names, as Hugging Face's libraries write them. */
export const companions: readonly string[] = [
  "added_tokens.json",
  "chat_template.jinja",
  "generation_config.json",
  "preprocessor_config.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
];

/**
 * Copies a checkpoint's tokenizer, preprocessing and generation settings, those that there are. Needs `--allow-read` and
 * `--allow-write`.
 *
 * @param from The checkpoint's folder
 * @param to A folder that exists
 * @throws OneloraError for a file that cannot be copied
 */
export async function copyCompanions(from: string, to: string): Promise<void> {
  for (const name of companions) {
    await guarded(`copying ${from}/${name}`, "a file that can be read, and a folder that can be written", async () => {
      try {
        await writeWhole(`${to}/${name}`, await Deno.readFile(`${from}/${name}`));
      } catch (error) {
        // Beside a file of weights, which is no folder, there are none.
        const { NotFound, NotADirectory } = Deno.errors;
        if (!(error instanceof NotFound || error instanceof NotADirectory)) throw error;
      }
    });
  }
}
