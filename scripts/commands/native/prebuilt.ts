/**
 * The library and the addon that tfjs-node's own install script downloads.
 *
 * @module
 */

import { dirname, join } from "node:path";
import * as tar from "tar";
import { addonPath } from "../../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { download } from "./download.ts";

/** The TensorFlow version that tfjs-node 4.22.0 was released with. */
export const prebuiltVersion = "2.9.1";

/** SHA-256 of what is downloaded. */
export interface PrebuiltPins {
  /** Of the addon's archive. */
  readonly addon: string;
  /** Of the C library's archive. */
  readonly library: string;
}

/**
 * Downloads and unpacks both archives: the library to `deps`, the addon to its place.
 *
 * @param folder Where they go
 * @param kind With or without CUDA
 * @param pins SHA-256 of both archives, the user's own: nobody publishes any
 * @param system Operating system and processor, as Deno names them
 * @param host Where tfjs keeps them
 * @throws {OneloraError} when there are none for this system, or they cannot be had
 */
export async function installPrebuilt(
  folder: string,
  kind: "cpu" | "gpu",
  pins: PrebuiltPins,
  system: { readonly os: string; readonly arch: string } = Deno.build,
  host = "https://storage.googleapis.com",
): Promise<void> {
  const { os, arch } = system;
  if (arch !== "x86_64" || !(os === "linux" || os === "darwin" && kind !== "gpu")) {
    throw new OneloraError({
      attempted: "downloading tfjs-node's own library",
      found: `${os} on ${arch}${kind === "gpu" ? " with CUDA" : ""}`,
      allowed: "linux on x86_64, or darwin on x86_64 without CUDA",
    });
  }
  const library = `libtensorflow-${kind}-${os}-${arch}-${prebuiltVersion}.tar.gz`;
  const binding = `tf-builds/pre-built-binary/napi-v8/4.22.0/${kind.toUpperCase()}-${os}-4.22.0.tar.gz`;
  const archives = [
    [`tensorflow/libtensorflow/${library}`, pins.library, "deps", 0],
    [binding, pins.addon, dirname(addonPath), 1],
  ] as const;
  for (const [path, value, target, strip] of archives) {
    const archive = join(folder, "archive.tar.gz");
    await download(`${host}/${path}`, archive, { algorithm: "sha256", value });
    await Deno.mkdir(join(folder, target), { recursive: true });
    await tar.extract({ file: archive, cwd: join(folder, target), strip, preserveOwner: false });
    await Deno.remove(archive);
  }
}
