/**
 * Builds tfjs-node's addon from the C++ sources in its npm package.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { addonPath, quietLoaderPath, rowProductsPath } from "../../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../../dsl/error.ts";
import type { System } from "./system.ts";

/** What the addon loads graphs with, in place of no options. */
const sessionOptions = "session_options.cc";

/** Runs the compiler. */
async function compile(what: string, { command, allowed }: System["compiler"], args: readonly string[]): Promise<void> {
  const attempted = `building ${what} with ${command}`;
  // What is not there is thrown at once.
  const ran = Promise.resolve().then(() => new Deno.Command(command, { args: [...args] }).output());
  const { success, stderr } = await ran.catch((error) => {
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
    "-DTF_NewSessionOptions=onelora_session_options",
    ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(folder, "binding", file)),
    join(folder, sessionOptions),
    ...["-o", join(folder, addonPath)],
    ...libraries.map((library) => join(folder, "deps", "lib", library)),
  ];
}

/** What all modules are built with. */
function common(folder: string, headers: readonly string[], shared: readonly string[]): readonly string[] {
  return ["-O2", "-fPIC", "-DNAPI_VERSION=8", ...shared, ...[folder, ...headers].flatMap((each) => ["-I", each])];
}

/** A source of ours in the folder; the package is a folder or comes from a registry. */
async function sourceIn(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeFile(path, (await fetch(new URL(`./${name}`, import.meta.url))).body!);
  return path;
}

/**
 * Builds the addon, and on Linux a loader that keeps the library quiet, against the library in `deps/lib`.
 *
 * @param folder tfjs-node's package, with the library in it
 * @param headers Folders of TensorFlow's and of Node-API's headers
 * @param system The system
 * @throws {OneloraError} when the compiler is missing or refuses
 */
export async function buildAddon(folder: string, headers: readonly string[], system: System): Promise<void> {
  await Deno.mkdir(dirname(join(folder, addonPath)), { recursive: true });
  await sourceIn(folder, sessionOptions);
  await compile("the addon", system.compiler, addonArguments(folder, headers, system));
  if (!system.loader) return;
  const args = ["-x", "c", await sourceIn(folder, "load_quietly.c"), "-o", join(folder, quietLoaderPath), "-ldl"];
  await compile("its loader", system.compiler, [...common(folder, headers, system.shared), ...args]);
}

/**
 * Builds a kernel for products of a few rows, on Linux. Without it everything works, only texts are continued more slowly.
 *
 * @param folder tfjs-node's package
 * @param headers Folder of Node-API's headers
 * @param system The system
 * @throws {OneloraError} when the compiler is missing or refuses
 */
export async function buildRowProducts(folder: string, headers: string, system: System): Promise<void> {
  if (!system.loader) return;
  const made = join(folder, rowProductsPath);
  for (const part of ["attention", "forms", "pool", "tiles", "vectors"]) {
    await sourceIn(folder, `row_products/${part}.h`);
  }
  await compile("the kernel for products of a few rows", system.compiler, [
    ...common(folder, [headers], system.shared),
    ...["-O3", "-std=c++17", "-Wno-psabi", await sourceIn(folder, "row_products.cc"), "-o", `${made}.part`],
    // Its threads outlive those that load it.
    ...["-Wl,-z,nodelete", "-ldl", "-lpthread"],
  ]);
  await Deno.rename(`${made}.part`, made);
}
