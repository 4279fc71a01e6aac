/**
 * All that the files beside a model's weights say of it.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import type { DiffusionProcess } from "../diffusion_process.ts";
import type { Description } from "../family.ts";
import type { ImageInput } from "../image_input.ts";
import { openPreprocessor } from "./preprocessor.ts";
import { openScheduler } from "./scheduler.ts";
import { checkTokenizer } from "./tokenizer.ts";

/** Stands where a process is refused. */
const UNKNOWN: DiffusionProcess = {
  betas: [],
  prediction: "epsilon",
  variance: "fixed_small",
  clip: false,
  spacing: "even",
  offset: 0,
  lastSignal: "one",
};

/** What they say; absent where they say nothing. */
export interface Companions {
  /** What the model expects of its pixels. */
  readonly image?: ImageInput;
  /** The noise that it was trained under. */
  readonly process?: DiffusionProcess;
  /** What of them is not acted on and might be meant, one line each. */
  readonly notes?: readonly string[];
}

/** Families whose `config.json` says how pictures are prepared, and whose library reads no other file. */
const OWN_PICTURES = ["timm"];

/** The input that the files describe; a refusal is kept for those who want to prepare pictures. */
async function imageOf(folder: string, image: ImageInput, family: string): Promise<Companions> {
  try {
    return await openPreprocessor(folder, image, family);
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
    return { image: { ...image, refused: error } };
  }
}

/** The process that the files describe; a refusal is kept for those who want to train or sample. */
async function processOf(folder: string): Promise<Companions> {
  try {
    return await openScheduler(folder) ?? {};
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
    return { process: { ...UNKNOWN, refused: error } };
  }
}

/** What the files beside a tokenizer say that is not acted on; a refusal is kept for those who want to read texts. */
async function tokenizerOf(folder: string): Promise<Companions> {
  try {
    return { notes: await checkTokenizer(folder) };
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
    return {};
  }
}

/**
 * Reads the files beside a model's weights. Needs `--allow-read`.
 *
 * @param folder The model's folder
 * @param description What the model is without them
 * @throws OneloraError for a file that cannot be read
 */
export async function openCompanions(folder: string, description: Description): Promise<Companions> {
  const { image, family, signature: { inputs } } = description;
  return {
    ...(image === undefined || OWN_PICTURES.includes(family) ? {} : await imageOf(folder, image, family)),
    ...(family === "dit" ? await processOf(folder) : {}),
    ...(inputs.some(({ name }) => name === "input_ids") ? await tokenizerOf(folder) : {}),
  };
}
