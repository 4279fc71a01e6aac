/**
 * Pretrained weights that are part of this package.
 *
 * @module
 */
import { OneloraError } from "../dsl/error.ts";

/** Presets with weights, and where they lie beside this file. */
const SHIPPED: Readonly<Record<string, URL>> = { "vit-micro": new URL("./weights/vit-micro/", import.meta.url) };

/** Copies a published folder next to nothing else, since checkpoints are read from files. */
async function download(from: URL): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "onelora-" });
  for (const name of ["config.json", "model.safetensors"]) {
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
 * The folder of a preset's weights, if this package ships them. Used from a registry, it is downloaded (2 MB).
 *
 * @param preset Preset name
 */
export async function shippedFolder(preset: string): Promise<string | undefined> {
  const from = SHIPPED[preset];
  if (from === undefined) return undefined;
  if (from.protocol !== "file:") return await download(from);
  const folder = decodeURIComponent(from.pathname).replace(/\/$/, "");
  try {
    await Deno.stat(`${folder}/config.json`);
    return folder;
  } catch {
    return undefined;
  }
}
