/**
 * What the kernels are compiled from.
 *
 * @module
 */

import { blockRows } from "./block_rows.ts";
import { microKernel } from "./micro_kernel.ts";

/** Sources that are written here, by name. */
const generated: Readonly<Record<string, (fused: boolean) => string>> = {
  "block_rows.ts": blockRows,
  "micro_kernel.ts": microKernel,
};

const folder = new URL("../../../dsl/engine/wasm/assembly/", import.meta.url);

/**
 * A source file, or nothing where there is no such file: the compiler asks for several candidates of each import.
 *
 * @param name Its name, e.g. `matmul.ts`
 * @param fused Whether there is a fused multiply-add
 */
export async function sourceFile(name: string, fused: boolean): Promise<string | null> {
  if (Object.hasOwn(generated, name)) return generated[name](fused);
  return await Deno.readTextFile(new URL(name, folder)).catch(() => null);
}

/** SHA-256 of all source files, in hexadecimal: whether the compiled kernels are up to date. */
export async function sourceDigest(): Promise<string> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  const texts = await Promise.all(names.map(async (name) => `${name}\n${await sourceFile(name, true)}`));
  const made = Object.values(generated).flatMap((write) => [write(true), write(false)]);
  const bytes = new TextEncoder().encode([...texts, ...made].join("\n"));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(digest).toHex();
}
