/**
 * Builds tfjs-node's addon from the C++ sources in its npm package.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { addonPath, quietLoaderPath } from "../../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { libraries } from "./wheel.ts";

/** Runs the compiler. */
async function compile(what: string, args: readonly string[]): Promise<void> {
  const attempted = `building ${what} with g++`;
  const allowed = "g++ 8 or newer (Debian, Ubuntu: apt-get install g++)";
  const { success, stderr } = await new Deno.Command("g++", { args: [...args] }).output().catch((error) => {
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
 * Builds the addon, and a loader that keeps the library quiet, against the library in `deps/lib`.
 *
 * @param folder tfjs-node's package, with the library in it
 * @param headers Folders of TensorFlow's and of Node-API's headers
 * @throws {OneloraError} when the compiler is missing or refuses
 */
export async function buildAddon(folder: string, headers: readonly string[]): Promise<void> {
  await Deno.mkdir(dirname(join(folder, addonPath)), { recursive: true });
  const includes = [folder, ...headers].flatMap((each) => ["-I", each]);
  // The addon finds the library relative to itself, so that the folder can be moved.
  const common = ["-O2", "-fPIC", "-shared", "-DNAPI_VERSION=8", "-Wl,-rpath,$ORIGIN/../../deps/lib", ...includes];
  await compile("the addon", [
    ...common,
    "-std=c++17",
    ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(folder, "binding", file)),
    ...["-o", join(folder, addonPath), "-L", join(folder, "deps", "lib")],
    ...libraries.map((library) => `-l:${library}`),
  ]);
  // The package is a folder or comes from a registry.
  const source = join(folder, "load_quietly.c");
  await Deno.writeFile(source, (await fetch(new URL("./load_quietly.c", import.meta.url))).body!);
  await compile("its loader", [...common, "-x", "c", source, "-o", join(folder, quietLoaderPath), "-ldl"]);
}
