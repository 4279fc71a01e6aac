/**
 * The library and the addon that tfjs-node's own install script downloads.
 *
 * @module
 */

import { dirname, join } from "node:path";
import * as tar from "tar";
import { addonPath } from "../../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { base64Digest, type Digest, download } from "./download.ts";

/** The TensorFlow version that tfjs-node 4.22.0 was released with. */
export const prebuiltVersion = "2.9.1";

/** Digest that the storage host sends along: `x-goog-hash: md5=BASE64`. */
function storedDigest(headers: Headers): Digest | undefined {
  const base64 = headers.get("x-goog-hash")?.match(/md5=([A-Za-z0-9+/]+=*)/)?.[1];
  return base64 === undefined ? undefined : base64Digest("md5", base64);
}

/**
 * Downloads and unpacks both archives: the library to `deps`, the addon to its place.
 *
 * @param folder Where they go
 * @param kind With or without CUDA
 * @param system Operating system and processor, as Deno names them
 * @param host Where tfjs keeps them
 * @throws {OneloraError} when there are none for this system, or they cannot be had
 */
export async function installPrebuilt(
  folder: string,
  kind: "cpu" | "gpu",
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
  const archives = [
    [`tensorflow/libtensorflow/libtensorflow-${kind}-${os}-${arch}-${prebuiltVersion}.tar.gz`, "deps", 0],
    [`tf-builds/pre-built-binary/napi-v8/4.22.0/${kind.toUpperCase()}-${os}-4.22.0.tar.gz`, dirname(addonPath), 1],
  ] as const;
  for (const [path, target, strip] of archives) {
    const archive = join(folder, "archive.tar.gz");
    await download(`${host}/${path}`, archive, storedDigest);
    await Deno.mkdir(join(folder, target), { recursive: true });
    await tar.extract({ file: archive, cwd: join(folder, target), strip, preserveOwner: false });
    await Deno.remove(archive);
  }
}
