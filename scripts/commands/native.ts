/**
 * `deno task native`: provides the tensorflow backend, TensorFlow's C library driven by tfjs-node, in
 * `.native/tensorflow`: the library of a PyPI wheel with an addon built here. Whatever is loaded is pinned by its SHA-256,
 * here or by the user.
 *
 * @module
 */

import { right } from "fp-ts/Either";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../../dsl/command_line.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import {
  installationRecord as record,
  nativeFolder,
  openTensorflow,
  rowProductsPath,
  tfjsStandIn,
} from "../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../dsl/error.ts";
import { boolean, main, type Options, text } from "../cli/mod.ts";
import { buildAddon, buildRowProducts } from "./native/addon.ts";
import { wheels } from "./native/checksums.ts";
import { installCuda } from "./native/cuda.ts";
import { download } from "./native/download.ts";
import { installPrebuilt, type PrebuiltPins, prebuiltVersion } from "./native/prebuilt.ts";
import { nodeHeaders, npmRegistry, protobuf, pythonIndex, tfjsNode, unpackPackage } from "./native/registries.ts";
import { type System, systemOf } from "./native/system.ts";
import { findWheel, unpackWheel } from "./native/wheel.ts";

const flags = {
  tensorflow: text({ help: "Take the C library from this version's wheel on PyPI, such as 2.21.0", value: "VERSION" }),
  sha256: text({ help: "SHA-256 of that wheel, for a version that is not pinned here", value: "HEX" }),
  addon: text({
    help: "Take the addon that tfjs-node's own install script would, beside --library; SHA-256 of its archive",
    value: "HEX",
  }),
  library: text({
    help: "The C library that goes with --addon, libtensorflow 2.9.1; SHA-256 of its archive",
    value: "HEX",
  }),
  cuda: boolean({
    help: "Take the library for NVIDIA GPUs, with CUDA 12 and cuDNN 9 where the machine lacks them (it needs a driver)",
  }),
  force: boolean({ help: "Reinstall" }),
};

/** What is asked for. */
type Asked = Options<typeof flags>;

/** What was installed, kept beside it. */
interface Installed {
  readonly source: string;
  readonly version: string;
  readonly cuda: boolean;
}

/** Reads a text file; undefined where there is none, or none that may be read. */
function textOf(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** How the user's package registries are found. */
const configuration = { environment: (name: string) => Deno.env.get(name), text: textOf };

/** The installation that is there, if it is what is asked for. */
function alreadyThere({ tensorflow, cuda, force }: Asked): Installed | undefined {
  const description = force ? undefined : textOf(join(nativeFolder(), record));
  if (description === undefined) return undefined;
  const installed: Installed = JSON.parse(description);
  return installed.cuda === cuda && (tensorflow ?? installed.version) === installed.version ? installed : undefined;
}

/** tfjs-node's own library and addon. */
async function fromPackage(folder: string, pins: PrebuiltPins, cuda: boolean): Promise<Installed> {
  await installPrebuilt(folder, cuda ? "gpu" : "cpu", pins);
  return {
    source: `tfjs-node's own download, sha256 ${pins.library} and ${pins.addon}`,
    version: prebuiltVersion,
    cuda,
  };
}

/** A wheel's checksum: the one that is pinned here, or for other wheels the one that the user has. */
function checksumOf(filename: string, given: string | undefined): string {
  const pinned = wheels[filename] ?? given;
  if (pinned !== undefined && given !== undefined && given !== pinned) {
    const problem = {
      attempted: `taking ${filename}`,
      found: `--sha256 ${given}`,
      allowed: `${pinned}, which is known here`,
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  if (pinned !== undefined) return pinned;
  const versions = [...new Set(Object.keys(wheels).map((name) => name.split("-")[1]))];
  throw new OneloraError({
    attempted: `taking ${filename}`,
    found: "a wheel without a checksum in this package",
    allowed: `${versions.join(", ")}, or --sha256 HEX of a wheel that you trust`,
  }, { exitCode: 2 });
}

/** Does something with Node-API's headers. */
async function withNodeHeaders(folder: string, f: (headers: string) => Promise<void>): Promise<void> {
  const headers = await freshFolder(join(folder, "node-api-headers"));
  try {
    await unpackPackage(npmRegistry(configuration), nodeHeaders, headers);
    await f(join(headers, "include"));
  } finally {
    await remove(headers);
  }
}

/** Builds the kernel for products of a few rows, or says why not. */
async function addRowProducts(...[folder, headers, system]: Parameters<typeof buildRowProducts>): Promise<void> {
  await buildRowProducts(folder, headers, system).catch(withoutRowProducts);
}

/** Everything else works without it. */
function withoutRowProducts(error: unknown): void {
  if (!(error instanceof OneloraError)) throw error;
  console.log(`note: ${error.message}; continuing without it, text generation is slower`);
}

/** Adds what an earlier version did not build to the installation that is there. */
async function completed({ cuda }: Installed): Promise<void> {
  const folder = nativeFolder();
  if (existsSync(join(folder, rowProductsPath))) return;
  const system = systemOf(Deno.build, cuda);
  if (!system.loader) return;
  console.log("building the kernel for products of a few rows");
  await withNodeHeaders(folder, (headers) => addRowProducts(folder, headers, system)).catch(withoutRowProducts);
}

/** The wheel's library and an addon built for it. */
async function fromWheel(
  folder: string,
  system: System,
  { tensorflow, cuda, sha256: given }: Asked,
): Promise<Installed> {
  if (system.note !== undefined) console.log(system.note);
  const version = tensorflow ?? system.version;
  const wheel = await findWheel(pythonIndex(configuration), version, system);
  const sha256 = checksumOf(wheel.filename, given);
  const path = join(folder, "..", wheel.filename);
  console.log(`downloading ${wheel.filename}`);
  await download(wheel.url, path, { algorithm: "sha256", value: sha256 });
  console.log("unpacking the C library");
  await unpackWheel(path, folder, system.libraries);
  console.log("building the addon");
  await withNodeHeaders(folder, async (headers) => {
    await buildAddon(folder, [join(folder, "include"), headers], system);
    await addRowProducts(folder, headers, system);
  });
  for (const each of [join(folder, "include"), path]) await remove(each);
  return { source: `${wheel.filename}, sha256 ${sha256}`, version, cuda };
}

/** Installs into a folder of its own, and puts it where the backend looks for it once it loads. */
async function install(asked: Asked): Promise<Installed> {
  const { cuda, addon, library } = asked;
  const pins = addon === undefined || library === undefined ? undefined : { addon, library };
  // Refused before anything is fetched.
  const system = pins === undefined ? systemOf(Deno.build, cuda) : undefined;
  const target = nativeFolder();
  const folder = await freshFolder(join(target, "..", "installing"));
  try {
    const registry = npmRegistry(configuration);
    const modules = join(folder, "node_modules");
    await unpackPackage(registry, tfjsNode, folder);
    await unpackPackage(registry, protobuf, await freshFolder(join(modules, protobuf.name)));
    const standIn = await freshFolder(join(modules, "@tensorflow", "tfjs"));
    await Deno.writeTextFile(join(standIn, "index.js"), tfjsStandIn);
    const installed = system === undefined
      ? await fromPackage(folder, pins!, cuda)
      : await fromWheel(folder, system, asked);
    if (cuda) await installCuda(folder, pythonIndex(configuration), console.log);
    await openTensorflow(folder);
    await Deno.writeTextFile(join(folder, record), JSON.stringify(installed, null, 2) + "\n");
    await remove(target);
    await Deno.rename(folder, target);
    return installed;
  } finally {
    await remove(folder);
  }
}

/** Removes a file or folder that may not be there. */
async function remove(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** Makes an empty folder. */
async function freshFolder(path: string): Promise<string> {
  await remove(path);
  await Deno.mkdir(path, { recursive: true });
  return path;
}

/** Provides the backend, or finds it provided. */
async function provide(asked: Asked): Promise<void> {
  if (asked.tensorflow !== undefined && !/^\d+\.\d+\.\d+$/.test(asked.tensorflow)) {
    const problem = {
      attempted: "reading --tensorflow",
      found: JSON.stringify(asked.tensorflow),
      allowed: "a version such as 2.21.0",
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  if ((asked.addon === undefined) !== (asked.library === undefined)) {
    const [found, lacking] = asked.addon === undefined ? ["--library", "--addon"] : ["--addon", "--library"];
    const allowed = `${lacking} HEX too: nothing is loaded whose SHA-256 neither this package nor you have`;
    throw new OneloraError({ attempted: "taking tfjs-node's own library", found: `${found} alone`, allowed }, {
      exitCode: 2,
    });
  }
  const { sha256, addon, library } = asked;
  const ofWheels = (["tensorflow", "sha256"] as const).find((name) => asked[name] !== undefined);
  if (addon !== undefined && ofWheels !== undefined) {
    const allowed = "one of the two: that library is of no wheel";
    throw new OneloraError({
      attempted: "taking tfjs-node's own library",
      found: `--${ofWheels} beside --addon`,
      allowed,
    }, {
      exitCode: 2,
    });
  }
  for (const [flag, value] of Object.entries({ sha256, addon, library })) {
    if (value === undefined || /^[0-9a-f]{64}$/.test(value)) continue;
    const problem = {
      attempted: `reading --${flag}`,
      found: JSON.stringify(value),
      allowed: "64 digits of hexadecimal",
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const there = alreadyThere(asked);
  if (there !== undefined) await completed(there);
  const { source } = there ?? await install(asked);
  const { tried: [{ why }], engine } = await useBackend("tensorflow");
  console.log(`${there ? "already there" : "installed"}: ${why} (${source})`);
  if (asked.cuda && engine.device.kind !== "gpu") {
    console.log(`note: no GPU is used here; \`${commandLine("doctor")}\` says what it lacks`);
  }
}

await main(
  { name: "native", summary: "Provides the tensorflow backend in .native/tensorflow", flags },
  (parsed) => async () => right(await provide(parsed.options)),
);
