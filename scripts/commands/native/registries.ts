/**
 * Package registries as the user's own tools are configured to use them, and packages of the npm registry.
 *
 * @module
 */

import { basename, join } from "node:path";
import * as tar from "tar";
import { base64Digest, download } from "./download.ts";

/** How configuration is read. */
export interface Configuration {
  /** An environment variable. */
  readonly environment: (name: string) => string | undefined;
  /** A text file; undefined where there is none. */
  readonly text: (path: string) => string | undefined;
}

/** The first value of a setting in some files. */
function setting({ text }: Configuration, files: readonly (string | undefined)[], pattern: RegExp): string | undefined {
  return files.flatMap((file) => file === undefined ? [] : text(file)?.match(pattern)?.[1] ?? []).at(0);
}

/**
 * The Python package index that pip uses: `PIP_INDEX_URL`, else `index-url` of its configuration, else PyPI.
 *
 * @param configuration How configuration is read
 */
export function pythonIndex(configuration: Configuration): string {
  const { environment } = configuration;
  const home = environment("HOME") ?? "";
  const files = [
    environment("PIP_CONFIG_FILE"),
    join(environment("XDG_CONFIG_HOME") ?? join(home, ".config"), "pip", "pip.conf"),
    join(home, ".pip", "pip.conf"),
    "/etc/pip.conf",
  ];
  return environment("PIP_INDEX_URL") ?? setting(configuration, files, /^\s*index[-_]url\s*[=:]\s*(\S+)/m) ??
    "https://pypi.org/simple";
}

/**
 * The registry that npm uses: `NPM_CONFIG_REGISTRY`, else `registry` of `.npmrc` here or at home, else npm's own.
 *
 * @param configuration How configuration is read
 */
export function npmRegistry(configuration: Configuration): string {
  const { environment } = configuration;
  const files = [".npmrc", join(environment("HOME") ?? "", ".npmrc")];
  return environment("NPM_CONFIG_REGISTRY") ?? setting(configuration, files, /^\s*registry\s*=\s*(\S+)/m) ??
    "https://registry.npmjs.org";
}

/** A package, pinned by its digest. */
export interface Package {
  /** Its name. */
  readonly name: string;
  /** Its version. */
  readonly version: string;
  /** SHA-512 of its archive in base64, as lock files have it. */
  readonly integrity: string;
}

/** The JavaScript half of the tensorflow backend, with its addon's sources. */
export const tfjsNode: Package = {
  name: "@tensorflow/tfjs-node-gpu",
  version: "4.22.0",
  integrity: "p//NN6DGiN4hInUmIkRffaFVMcdTREUMjPyjW04J7OXvB2zBlQimj61eFKSgRrH3f5TnOfKzb0n56he/B6a4bw==",
};

/** What tfjs-node reads and writes graphs with. */
export const protobuf: Package = {
  name: "google-protobuf",
  version: "3.21.4",
  integrity: "MnG7N936zcKTco4Jd2PX2U96Kf9PxygAPKBug+74LHzmHXmceN16MmRcdgZv+DGef/S9YvQAfRsNCn4cjf9yyQ==",
};

/** Headers that every addon is built with. */
export const nodeHeaders: Package = {
  name: "node-api-headers",
  version: "1.9.0",
  integrity: "2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==",
};

/**
 * Downloads a package, verifies and unpacks it, without what it depends on and without running its scripts.
 *
 * @param registry Address of the registry
 * @param pinned Which package
 * @param folder Where its files go
 * @throws {OneloraError} when it cannot be had, or is another than expected
 */
export async function unpackPackage(registry: string, pinned: Package, folder: string): Promise<void> {
  const { name, version, integrity } = pinned;
  const archive = join(folder, "package.tgz");
  const url = `${registry.replace(/\/$/, "")}/${name}/-/${basename(name)}-${version}.tgz`;
  await download(url, archive, base64Digest("sha512", integrity));
  await tar.extract({ file: archive, cwd: folder, strip: 1, preserveOwner: false });
  await Deno.remove(archive);
}
