/**
 * TensorFlow's C library and its headers from the wheels on PyPI or any other Python package index
 * (https://packaging.python.org/specifications/simple-repository-api/).
 *
 * @module
 */

import { createWriteStream } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
// @ts-types="@types/yauzl"
import yauzl from "yauzl";
import { OneloraError } from "../../../dsl/error.ts";
import { request } from "./download.ts";
import type { System } from "./system.ts";

/** One file of a package index. */
export interface Wheel {
  /** E.g. `tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl`. */
  readonly filename: string;
  /** Address. */
  readonly url: string;
  /** Digest that the index promises; empty where it promises none. */
  readonly sha256: string;
}

/** Files listed by an index's answer, in JSON or in HTML. */
async function listing(response: Response): Promise<readonly Wheel[]> {
  if (response.headers.get("content-type")?.includes("json")) {
    const { files } = await response.json() as {
      files: { filename: string; url: string; hashes: { sha256?: string } }[];
    };
    return files.map(({ filename, url, hashes }) => ({
      filename,
      url: new URL(url, response.url).href,
      sha256: hashes.sha256 ?? "",
    }));
  }
  return [...(await response.text()).matchAll(/<a\s[^>]*href="([^"]+)"[^>]*>([^<]+)<\/a>/g)].map(([, href, name]) => {
    const url = new URL(href.replaceAll("&amp;", "&"), response.url);
    const sha256 = url.hash.match(/^#sha256=([0-9a-f]{64})$/)?.[1] ?? "";
    url.hash = "";
    return { filename: name.trim(), url: url.href, sha256 };
  });
}

/**
 * Finds the wheel of a TensorFlow version for a system. Which Python it is for is of no
 * concern: the C library is the same.
 *
 * @param index Address of the package index
 * @param version E.g. `2.21.0`
 * @param system The system
 * @throws {OneloraError} when the index has none
 */
export async function findWheel(
  index: string,
  version: string,
  { project, tag, words }: Pick<System, "tag" | "words"> & { readonly project: string },
): Promise<Wheel> {
  const attempted = `looking up ${project} ${version}`;
  const address = new URL(`${project}/`, index.endsWith("/") ? index : `${index}/`);
  const accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";
  const files = await listing(await request(address, attempted, { headers: { Accept: accept } }));
  const versionOf = (file: Wheel) => file.filename.split("-")[1];
  const fitting = files.filter(({ filename }) => tag.test(filename));
  const wheel = fitting.findLast((file) => versionOf(file) === version);
  if (wheel === undefined) {
    const versions = [...new Set(fitting.map(versionOf))].filter((each) => /^[\d.]+$/.test(each))
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true })).slice(-8);
    throw new OneloraError({
      attempted,
      found: `no such wheel for ${words}`,
      allowed: versions.join(", ") || "a version with such a wheel",
    }, { exitCode: 2 });
  }
  if (wheel.sha256 === "") {
    throw new OneloraError({ attempted, found: `no sha256 of ${wheel.filename}`, allowed: "an index with checksums" });
  }
  return wheel;
}

/** Folders of headers that `tensorflow/c/c_api.h` and `tensorflow/c/eager/c_api.h` draw on, in any version. */
const headers = /^tensorflow\/include\/((?:tensorflow\/(?:c|core\/platform|tsl)|tsl|xla\/tsl)\/.*\.h)$/;

/** Where a member of the wheel goes, if anywhere. */
function destination(member: string, libraries: readonly string[]): string | undefined {
  const library = libraries.find((name) => member === `tensorflow/${name}`);
  if (library !== undefined) return join("deps", "lib", library);
  const header = member.match(headers)?.[1];
  return header === undefined ? undefined : join("include", header);
}

/**
 * Unpacks the C library to `deps/lib` and its headers to `include`.
 *
 * @param wheel The wheel's path
 * @param folder Where they go
 * @param libraries The library's files
 * @throws {OneloraError} when the wheel lacks the library, as old ones do
 */
export async function unpackWheel(wheel: string, folder: string, libraries: readonly string[]): Promise<void> {
  const archive = await yauzl.openPromise(wheel);
  const unpacked = new Set<string>();
  for await (const entry of archive.eachEntry()) {
    const path = destination(entry.fileName, libraries);
    if (path === undefined) continue;
    await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
    await pipeline(await archive.openReadStreamPromise(entry), createWriteStream(join(folder, path)));
    unpacked.add(path);
  }
  const missing = libraries.filter((name) => !unpacked.has(join("deps", "lib", name)));
  if (missing.length > 0) {
    throw new OneloraError({
      attempted: `unpacking ${wheel}`,
      found: `no ${missing.join(", ")}`,
      allowed: "a TensorFlow version whose wheel holds its C library, such as 2.21.0",
    });
  }
}
