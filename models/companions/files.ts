/**
 * The files beside a checkpoint's weights that say how texts and images become its inputs.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { basename, dirname, join } from "../../dsl/files/path.ts";
import { readWhole } from "../../dsl/files/read.ts";
import { isNowhere } from "../../dsl/files/store.ts";
import { writeWhole } from "../../dsl/files/write.ts";

/** Their names, as Hugging Face's libraries write them. */
export const companions: readonly string[] = [
  "added_tokens.json",
  "chat_template.jinja",
  "generation_config.json",
  "merges.txt",
  "preprocessor_config.json",
  "processor_config.json",
  "scheduler_config.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "vocab.json",
];

/** The folder of the pipeline that a model's folder is of, if it is of one of diffusers. */
export function pipelineOf(folder: string): string | undefined {
  return basename(folder) === "transformer" ? dirname(folder) : undefined;
}

/** Files of a pipeline that its transformer needs, by their path in the pipeline's folder. */
export const pipelineFiles: readonly string[] = ["model_index.json", "scheduler/scheduler_config.json"];

/**
 * Where a companion of a model may be: beside its weights, or in its pipeline.
 *
 * @param folder The model's folder
 * @param name The companion
 */
export function placesOf(folder: string, name: string): readonly string[] {
  const pipeline = pipelineOf(folder);
  const there = pipelineFiles.find((path) => path.endsWith(`/${name}`));
  return [`${folder}/${name}`, ...(pipeline === undefined || there === undefined ? [] : [join(pipeline, there)])];
}

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
    for (const place of placesOf(from, name)) {
      const copied = await guarded(
        `copying ${place}`,
        "a file that can be read, and a folder that can be written",
        async () => {
          try {
            await writeWhole(`${to}/${name}`, await readWhole(place));
            return true;
          } catch (error) {
            // Beside a file of weights, which is no folder, there are none.
            if (!(error instanceof OneloraError && isNowhere(error.cause))) throw error;
            return false;
          }
        },
      );
      if (copied) break;
    }
  }
}
