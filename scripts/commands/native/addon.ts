/**
 * Builds tfjs-node's addon from the C++ sources in its npm package.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { addonPath, quietLoaderPath, rowProductsPath } from "../../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../../dsl/error.ts";
import type { System } from "./system.ts";

/** Runs the compiler. */
async function compile(what: string, { command, allowed }: System["compiler"], args: readonly string[]): Promise<void> {
  const attempted = `building ${what} with ${command}`;
  const { success, stderr } = await new Deno.Command(command, { args: [...args] }).output().catch((error) => {
    throw new OneloraError({ attempted, found: (error as Error).message.split("\n")[0], allowed });
  });
  if (success) return;
  const lines = new TextDecoder().decode(stderr).split("\n");
  throw new OneloraError({
    attempted,
    found: lines.find((line) => /error|cannot find/.test(line)) ?? lines[0],
    allowed,
  });
}

/**
 * The compiler's arguments for the addon.
 *
 * @param folder tfjs-node's package, with the library in it
 * @param headers Folders of TensorFlow's and of Node-API's headers
 * @param system The system
 */
export function addonArguments(
  folder: string,
  headers: readonly string[],
  { shared, libraries }: Pick<System, "shared" | "libraries">,
): readonly string[] {
  return [
    ...common(folder, headers, shared),
    "-std=c++17",
    ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(folder, "binding", file)),
    ...["-o", join(folder, addonPath)],
    ...libraries.map((library) => join(folder, "deps", "lib", library)),
  ];
}

/** What all modules are built with. */
function common(folder: string, headers: readonly string[], shared: readonly string[]): readonly string[] {
  return ["-O2", "-fPIC", "-DNAPI_VERSION=8", ...shared, ...[folder, ...headers].flatMap((each) => ["-I", each])];
}

/**
 * Builds the addon, and on Linux a loader that keeps the library quiet and a kernel for products of a few rows, against the library
 * in `deps/lib`. Without the kernel everything works, only texts are continued more slowly.
 *
 * @param folder tfjs-node's package, with the library in it
 * @param headers Folders of TensorFlow's and of Node-API's headers
 * @param system The system
 * @param tell Told that the kernel could not be built
 * @throws {OneloraError} when the compiler is missing or refuses
 */
export async function buildAddon(
  folder: string,
  headers: readonly string[],
  system: System,
  tell: (note: string) => void = () => {},
): Promise<void> {
  await Deno.mkdir(dirname(join(folder, addonPath)), { recursive: true });
  await compile("the addon", system.compiler, addonArguments(folder, headers, system));
  if (!system.loader) return;
  // The package is a folder or comes from a registry.
  const sourceOf = async (name: string) => {
    const path = join(folder, name);
    await Deno.writeFile(path, (await fetch(new URL(`./${name}`, import.meta.url))).body!);
    return path;
  };
  const shared = common(folder, headers, system.shared);
  const loader = ["-x", "c", await sourceOf("load_quietly.c"), "-o", join(folder, quietLoaderPath), "-ldl"];
  await compile("its loader", system.compiler, [...shared, ...loader]);
  const kernel = await sourceOf("row_products.cc");
  try {
    await compile("the kernel for products of a few rows", system.compiler, [
      ...[...shared, "-O3", "-std=c++17", "-Wno-psabi", kernel, "-o", join(folder, rowProductsPath)],
      // Its threads outlive those that load it.
      ...["-Wl,-z,nodelete", "-ldl", "-lpthread"],
    ]);
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
    tell(`note: ${error.message}; going on without it, texts are continued more slowly`);
  }
}
