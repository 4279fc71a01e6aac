/**
 * `deno task native`: provides the tensorflow backend, TensorFlow's C library driven by tfjs-node, in
 * `.native/tensorflow`. Without a version it takes the library that tfjs-node's own install script would, where that
 * can be reached, else the library of a PyPI wheel with an addon built here.
 *
 * @module
 */

import { right } from "fp-ts/Either";
import { join } from "node:path";
import { useBackend } from "../../dsl/engine/mod.ts";
import {
  installationRecord as record,
  nativeFolder,
  openTensorflow,
  tfjsStandIn,
} from "../../dsl/engine/tensorflow.ts";
import { OneloraError } from "../../dsl/error.ts";
import { boolean, main, type Options, text } from "../cli/mod.ts";
import { buildAddon } from "../tools/native/addon.ts";
import { installCuda } from "../tools/native/cuda.ts";
import { download } from "../tools/native/download.ts";
import { installPrebuilt, prebuiltVersion } from "../tools/native/prebuilt.ts";
import {
  nodeHeaders,
  npmRegistry,
  protobuf,
  pythonIndex,
  tfjsNode,
  unpackPackage,
} from "../tools/native/registries.ts";
import { findWheel, unpackWheel } from "../tools/native/wheel.ts";

/** The version whose wheel is taken unless another is named. */
const wheelVersion = "2.21.0";

const flags = {
  tensorflow: text({ help: "Take the C library from this version's wheel on PyPI, such as 2.21.0", value: "VERSION" }),
  cuda: boolean({
    help: "Take the library for NVIDIA GPUs, with CUDA 12 and cuDNN 9 where the machine lacks them (it needs a driver)",
  }),
  force: boolean({ help: "Install again what is there already" }),
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

/** tfjs-node's own library and addon, where there are any for this machine and they can be reached. */
async function fromPackage(folder: string, cuda: boolean): Promise<Installed | undefined> {
  try {
    await installPrebuilt(folder, cuda ? "gpu" : "cpu");
    return { source: "tfjs-node's own download", version: prebuiltVersion, cuda };
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
    console.log(`${error.message}; going on with a wheel`);
    return undefined;
  }
}

/** The wheel's library and an addon built for it. */
async function fromWheel(folder: string, version: string, cuda: boolean): Promise<Installed> {
  const { os, arch } = Deno.build;
  if (os !== "linux") throw new OneloraError({ attempted: "building the addon", found: os, allowed: "linux" });
  const project = cuda || arch !== "x86_64" ? "tensorflow" : "tensorflow-cpu";
  const wheel = await findWheel(pythonIndex(configuration), project, version, arch);
  const path = join(folder, "..", wheel.filename);
  console.log(`downloading ${wheel.filename}`);
  await download(wheel.url, path, { algorithm: "sha256", value: wheel.sha256 });
  console.log("unpacking the C library");
  await unpackWheel(path, folder);
  console.log("building the addon");
  const headers = await freshFolder(join(folder, "node-api-headers"));
  await unpackPackage(npmRegistry(configuration), nodeHeaders, headers);
  await buildAddon(folder, [join(folder, "include"), join(headers, "include")]);
  for (const each of [headers, join(folder, "include"), path]) await remove(each);
  return { source: `${wheel.filename}, sha256 ${wheel.sha256}`, version, cuda };
}

/** Installs into a folder of its own, and puts it where the backend looks for it once it loads. */
async function install({ tensorflow, cuda }: Asked): Promise<Installed> {
  const target = nativeFolder();
  const folder = await freshFolder(join(target, "..", "installing"));
  try {
    const registry = npmRegistry(configuration);
    const modules = join(folder, "node_modules");
    await unpackPackage(registry, tfjsNode, folder);
    await unpackPackage(registry, protobuf, await freshFolder(join(modules, protobuf.name)));
    const standIn = await freshFolder(join(modules, "@tensorflow", "tfjs"));
    await Deno.writeTextFile(join(standIn, "index.js"), tfjsStandIn);
    const installed = (tensorflow === undefined ? await fromPackage(folder, cuda) : undefined) ??
      await fromWheel(folder, tensorflow ?? wheelVersion, cuda);
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
      allowed: `a version such as ${wheelVersion}`,
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const there = alreadyThere(asked);
  const { source } = there ?? await install(asked);
  const [{ why }] = (await useBackend("tensorflow")).tried;
  console.log(`${there ? "already there" : "installed"}: ${why} (${source})`);
}

await main(
  { name: "native", summary: "Provides the tensorflow backend in .native/tensorflow", flags },
  (parsed) => async () => right(await provide(parsed.options)),
);
