/**
 * Pretrained weights that are part of this package.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fileOf } from "../../dsl/files/path.ts";
import { isPage } from "../../dsl/host.ts";

/** Files of every model. */
const MODEL = ["config.json", "model.safetensors"];

/** Presets with weights, and the files that lie beside this one. */
const SHIPPED: Readonly<Record<string, readonly string[]>> = {
  "vit-micro": MODEL,
  "dit-micro": ["config.json", "diffusion_pytorch_model.safetensors"],
  "dpt-micro": MODEL,
  "llama-micro": [...MODEL, "tokenizer.json", "tokenizer_config.json"],
};

/** Copies a published folder next to nothing else, since checkpoints are read from files. */
async function download(from: URL, files: readonly string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "onelora-" });
  for (const name of files) {
    const response = await fetch(new URL(name, from));
    if (!response.ok || response.body === null) {
      throw new OneloraError({
        attempted: `downloading ${new URL(name, from)}`,
        found: `status ${response.status}`,
        allowed: "a published version of this package",
      });
    }
    await Deno.writeFile(`${folder}/${name}`, response.body);
  }
  return folder;
}

/**
 * The folder of a preset's weights, if this package ships them. Used from a registry, it is downloaded (2 MB). In a page it is
 * `weights/PRESET` beside the folder of the code: of `https://HOST/code/app.js`, `https://HOST/weights/PRESET`.
 *
 * @param preset Preset name
 */
export async function shippedFolder(preset: string): Promise<string | undefined> {
  const files = SHIPPED[preset];
  if (files === undefined) return undefined;
  const from = new URL(`../weights/${preset}/`, import.meta.url);
  if (isPage()) return from.href.slice(0, -1);
  if (from.protocol !== "file:") return await download(from, files);
  const folder = fileOf(from).replace(/[\\/]$/, "");
  try {
    await Deno.stat(`${folder}/config.json`);
    return folder;
  } catch {
    return undefined;
  }
}
