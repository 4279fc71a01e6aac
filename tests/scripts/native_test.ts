import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { OneloraError } from "../../dsl/error.ts";
import { denoCommand } from "../../scripts/cli/deno.ts";
import { download } from "../../scripts/commands/native/download.ts";
import { type BackendName, engineKind } from "../../dsl/engine/mod.ts";
import { installPrebuilt } from "../../scripts/commands/native/prebuilt.ts";
import { npmRegistry, pythonIndex, unpackPackage } from "../../scripts/commands/native/registries.ts";
import { addonArguments } from "../../scripts/commands/native/addon.ts";
import { wheels } from "../../scripts/commands/native/checksums.ts";
import { systemOf } from "../../scripts/commands/native/system.ts";
import { findWheel, unpackWheel } from "../../scripts/commands/native/wheel.ts";
import { tarball, zip } from "../support/archives.ts";

const linux = systemOf({ os: "linux", arch: "x86_64" }, false);

/** An answer of the pretended network. */
interface Answer {
  readonly body: Uint8Array | string;
  readonly headers?: Record<string, string>;
}

/** Runs a body in a fresh folder, on a network that has these addresses alone; returns the addresses it asked for. */
async function offline(
  answers: Readonly<Record<string, Answer>>,
  body: (folder: string) => Promise<void>,
): Promise<readonly string[]> {
  const folder = await Deno.makeTempDir();
  const asked: string[] = [];
  const real = globalThis.fetch;
  globalThis.fetch = (input) => {
    const url = String(input);
    asked.push(url);
    const answer = answers[url];
    const response = answer
      ? new Response(answer.body as BodyInit, { headers: answer.headers })
      : new Response("", { status: 404 });
    Object.defineProperty(response, "url", { value: url });
    return Promise.resolve(response);
  };
  try {
    await body(folder);
  } finally {
    globalThis.fetch = real;
    await Deno.remove(folder, { recursive: true });
  }
  return asked;
}

/** Names of the files in a folder. */
function files(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
}

/** A digest in hexadecimal or base64. */
function digest(algorithm: string, bytes: Uint8Array, encoding: "hex" | "base64"): string {
  return createHash(algorithm).update(bytes).digest(encoding);
}

Deno.test("registries are those that pip and npm are configured with", () => {
  const configuration = (variables: Record<string, string>, texts: Record<string, string> = {}) => ({
    environment: (name: string) => variables[name],
    text: (path: string) => texts[path],
  });
  assertEquals(pythonIndex(configuration({})), "https://pypi.org/simple");
  assertEquals(pythonIndex(configuration({ PIP_INDEX_URL: "https://a.example/simple" })), "https://a.example/simple");
  const file = "[global]\ntimeout = 9\nindex-url = https://b.example/simple\n";
  for (const path of ["/home/me/.config/pip/pip.conf", "/home/me/.pip/pip.conf", "/etc/pip.conf"]) {
    assertEquals(pythonIndex(configuration({ HOME: "/home/me" }, { [path]: file })), "https://b.example/simple");
  }
  const elsewhere = configuration({ PIP_CONFIG_FILE: "/x", HOME: "/home/me" }, {
    "/x": "[global]\nindex-url: https://c.example/\n",
    "/etc/pip.conf": file,
  });
  assertEquals(pythonIndex(elsewhere), "https://c.example/");
  assertEquals(npmRegistry(configuration({})), "https://registry.npmjs.org");
  assertEquals(npmRegistry(configuration({ NPM_CONFIG_REGISTRY: "https://d.example" })), "https://d.example");
  const npmrc = { "/home/me/.npmrc": "@scope:registry=https://no.example\nregistry=https://e.example/\n" };
  assertEquals(npmRegistry(configuration({ HOME: "/home/me" }, npmrc)), "https://e.example/");
});

Deno.test("a wheel is found in an index that answers in JSON", async () => {
  const sha256 = "a".repeat(64);
  const named = (filename: string) => ({ filename, url: `../../files/${filename}`, hashes: { sha256 } });
  const body = JSON.stringify({
    files: [
      named("tensorflow_cpu-2.9.3-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
      named("tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl"),
      named("tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl"),
      named("tensorflow_cpu-2.21.0-cp313-cp313-win_amd64.whl"),
      named("tensorflow_cpu-2.20.0-cp313-cp313-manylinux_2_17_x86_64.whl"),
    ],
  });
  const headers = { "content-type": "application/vnd.pypi.simple.v1+json" };
  await offline({ "https://index.example/simple/tensorflow-cpu/": { body, headers } }, async () => {
    const find = (version: string) => findWheel("https://index.example/simple", version, linux);
    const filename = "tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl";
    assertEquals(await find("2.21.0"), { filename, url: `https://index.example/files/${filename}`, sha256 });
    assertEquals((await find("2.9.3")).filename.split("-")[1], "2.9.3");
    const error = await assertRejects(() => find("2.99.0"), OneloraError);
    assertStringIncludes(error.message, "allowed: 2.9.3, 2.20.0, 2.21.0");
    assertEquals(error.exitCode, 2);
  });
});

Deno.test("a wheel is found in an index that answers in HTML, and refused without a checksum", async () => {
  const name = (version: string) => `tensorflow-${version}-cp313-cp313-manylinux_2_27_aarch64.whl`;
  const body = `<!DOCTYPE html><html><body>
    <a data-requires-python="&gt;=3.9" href="https://f.example/x?a=1&amp;b=2#sha256=${"b".repeat(64)}">${
    name("2.21.0")
  }</a>
    <a href="y.whl">${name("2.20.0")}</a></body></html>`;
  const answers = { "https://index.example/tensorflow/": { body, headers: { "content-type": "text/html" } } };
  await offline(answers, async () => {
    const find = (version: string) =>
      findWheel("https://index.example/", version, systemOf({ os: "linux", arch: "aarch64" }, false));
    const found = { filename: name("2.21.0"), url: "https://f.example/x?a=1&b=2", sha256: "b".repeat(64) };
    assertEquals(await find("2.21.0"), found);
    const error = await assertRejects(() => find("2.20.0"), OneloraError);
    assertStringIncludes(error.message, "allowed: an index with checksums");
  });
});

Deno.test("an index that does not answer is one line", async () => {
  await offline({}, async () => {
    const error = await assertRejects(
      () => findWheel("https://index.example", "2.21.0", systemOf({ os: "linux", arch: "x86_64" }, true)),
      OneloraError,
      "looking up tensorflow 2.21.0 from index.example: found HTTP status 404",
    );
    assertEquals(error.message.includes("\n"), false);
  });
});

Deno.test("a download is verified, kept when it is there already, and leaves nothing when it is another file", async () => {
  const body = new TextEncoder().encode("the library");
  const url = "https://f.example/library.whl";
  const right = { algorithm: "sha256", value: digest("sha256", body, "hex") } as const;
  const asked = await offline({ [url]: { body } }, async (folder) => {
    const path = join(folder, "library.whl");
    const wrong = { algorithm: "sha256", value: "0".repeat(64) } as const;
    const error = await assertRejects(() => download(url, path, wrong), OneloraError);
    assertStringIncludes(error.message, `found sha256 ${right.value}; allowed: sha256 000`);
    assertEquals(files(folder), []);
    await download(url, path, right);
    await download(url, path, right);
    assertEquals(files(folder), ["library.whl"]);
    assertEquals(await Deno.readFile(path), body);
    await Deno.writeTextFile(path, "damaged");
    await download(url, path, right);
    assertEquals(await Deno.readFile(path), body);
    // What a killed process left is removed, what another one may be writing is not.
    const [left, live] = ["1", "2"].map((id) => `${path}.${id}.tmp`);
    for (const partial of [left, live]) await Deno.writeTextFile(partial, "the lib");
    await Deno.utime(left, 0, Date.now() / 1000 - 3600);
    await Deno.remove(path);
    await download(url, path, right);
    assertEquals(files(folder), ["library.whl", "library.whl.2.tmp"]);
  });
  assertEquals(asked.length, 4);
});

Deno.test("a wheel gives its C library and the headers that the addon needs, and nothing else", async () => {
  await offline({}, async (folder) => {
    const wheel = join(folder, "t.whl");
    await Deno.writeFile(
      wheel,
      zip({
        "tensorflow/libtensorflow_cc.so.2": "cc",
        "tensorflow/libtensorflow_framework.so.2": "framework",
        "tensorflow/libtensorflow_other.so.2": "no",
        "tensorflow/include/tensorflow/c/c_api.h": "c",
        "tensorflow/include/tensorflow/c/eager/c_api.h": "eager",
        "tensorflow/include/xla/tsl/c/tsl_status.h": "status",
        "tensorflow/include/tensorflow/cc/ops.h": "no",
        "tensorflow/python/client.py": "no",
      }),
    );
    await unpackWheel(wheel, folder, linux.libraries);
    assertEquals(files(join(folder, "deps", "lib")), ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]);
    assertEquals(await Deno.readTextFile(join(folder, "include/tensorflow/c/eager/c_api.h")), "eager");
    assertEquals(await Deno.readTextFile(join(folder, "include/xla/tsl/c/tsl_status.h")), "status");
    assertEquals([files(join(folder, "include")), files(folder)], [["tensorflow", "xla"], [
      "deps",
      "include",
      "t.whl",
    ]]);
    await Deno.writeFile(wheel, zip({ "tensorflow/libtensorflow_framework.so.2": "framework" }));
    const error = await assertRejects(() => unpackWheel(wheel, folder, linux.libraries), OneloraError);
    assertStringIncludes(error.message, "found no libtensorflow_cc.so.2");
  });
});

Deno.test("each system has its wheel, pinned here, its library and its compiler; others are refused by what they have instead", async () => {
  const listed = Object.keys(wheels).map((filename) => ({ filename, url: `/${filename}`, hashes: { sha256: "c" } }));
  const headers = { "content-type": "application/vnd.pypi.simple.v1+json" };
  const answers = Object.fromEntries(["tensorflow", "tensorflow-cpu"].map((project) => {
    const files = listed.filter(({ filename }) => filename.startsWith(`${project.replace("-", "_")}-`));
    return [`https://index.example/${project}/`, { body: JSON.stringify({ files }), headers }];
  }));
  const found: string[] = [];
  await offline(answers, async () => {
    for (const [os, arch] of [["linux", "x86_64"], ["linux", "aarch64"], ["darwin", "aarch64"], ["darwin", "x86_64"]]) {
      const system = systemOf({ os, arch }, false);
      found.push((await findWheel("https://index.example", system.version, system)).filename);
    }
  });
  assertEquals(found, [
    "tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl",
    "tensorflow-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl",
    "tensorflow-2.21.0-cp313-cp313-macosx_12_0_arm64.whl",
    "tensorflow-2.16.2-cp39-cp39-macosx_10_15_x86_64.whl",
  ]);
  const mac = systemOf({ os: "darwin", arch: "aarch64" }, false);
  const args = addonArguments("/f", ["/f/include"], mac);
  // Beside the addon, lib/napi-v8/tfjs_binding.node, the library is two folders up and down again.
  assert(args.includes("-Wl,-rpath,@loader_path/../../deps/lib") && args.includes("dynamic_lookup"));
  // The addon asks for what graphs are loaded with, which is the source beside its own.
  const source = Deno.readTextFileSync(
    new URL("../../scripts/commands/native/session_options.cc", import.meta.url),
  );
  const [, name] = args.find((each) => each.startsWith("-DTF_NewSessionOptions"))!.split("=");
  assert(args.includes("/f/session_options.cc") && source.includes(`TF_SessionOptions* ${name}(void)`));
  assertEquals(args.slice(-2), ["/f/deps/lib/libtensorflow_cc.2.dylib", "/f/deps/lib/libtensorflow_framework.2.dylib"]);
  assertEquals([mac.compiler.command, linux.compiler.command, mac.loader], ["clang++", "g++", false]);
  const { body } = { body: zip(Object.fromEntries(mac.libraries.map((name) => [`tensorflow/${name}`, name]))) };
  await offline({}, async (folder) => {
    await Deno.writeFile(`${folder}/t.whl`, body);
    await unpackWheel(`${folder}/t.whl`, folder, mac.libraries);
    assertEquals(files(join(folder, "deps", "lib")), [...mac.libraries]);
  });
  const refused = (os: string, cuda = false) => {
    try {
      return systemOf({ os, arch: "x86_64" }, cuda).words;
    } catch (error) {
      return (error as OneloraError).message;
    }
  };
  assertMatch(
    refused("windows"),
    /found windows, whose wheels have no C library.*`--backend wasm`.*`--backend webgpu`/,
  );
  assertMatch(refused("darwin", true), /found darwin; allowed: linux; on a Mac/);
  assertMatch(refused("freebsd"), /found freebsd/);
});

Deno.test("an npm package is unpacked without its outer folder, and refused when it is another than pinned", async () => {
  const answers: Record<string, Answer> = {};
  await offline(answers, async (folder) => {
    const body = tarball({ "package/dist/index.js": "1" });
    answers["https://npm.example/@scope/name/-/name-1.2.3.tgz"] = { body };
    const pinned = { name: "@scope/name", version: "1.2.3", integrity: digest("sha512", body, "base64") };
    await unpackPackage("https://npm.example/", pinned, folder);
    assertEquals([files(folder), files(join(folder, "dist"))], [["dist"], ["index.js"]]);
    const other = { ...pinned, integrity: digest("sha512", new Uint8Array(1), "base64") };
    await assertRejects(() => unpackPackage("https://npm.example", other, folder), OneloraError, "found sha512");
  });
});

Deno.test("tfjs-node's own library and addon go where its wheel-built ones do", async () => {
  const answers: Record<string, Answer> = {};
  await offline(answers, async (folder) => {
    const serve = (path: string, members: Record<string, string>) => {
      const body = tarball(members);
      answers[`https://storage.example/${path}`] = { body };
      return digest("sha256", body, "hex");
    };
    const library = serve("tensorflow/libtensorflow/libtensorflow-cpu-linux-x86_64-2.9.1.tar.gz", {
      "lib/libtensorflow.so": "1",
    });
    const addon = serve("tf-builds/pre-built-binary/napi-v8/4.22.0/CPU-linux-4.22.0.tar.gz", {
      "napi-v8/tfjs_binding.node": "2",
    });
    const linux = { os: "linux", arch: "x86_64" };
    const pins = { library, addon };
    const host = "https://storage.example";
    await installPrebuilt(folder, "cpu", pins, linux, host);
    assertEquals(await Deno.readTextFile(join(folder, "deps/lib/libtensorflow.so")), "1");
    assertEquals(await Deno.readTextFile(join(folder, "lib/napi-v8/tfjs_binding.node")), "2");
    assertEquals(files(folder), ["deps", "lib"]);
    await assertRejects(() => installPrebuilt(folder, "gpu", pins, linux, host), OneloraError, "404");
    for (const wrong of [{ library, addon: library }, { library: addon, addon }]) {
      const expected = wrong.library === library ? addon : library;
      await assertRejects(() => installPrebuilt(folder, "cpu", wrong, linux, host), OneloraError, expected);
    }
    const mac = { os: "darwin", arch: "aarch64" };
    await assertRejects(
      () => installPrebuilt(folder, "cpu", pins, mac, host),
      OneloraError,
      "darwin on",
    );
  });
});

/** Runs a task and returns its exit code and output. */
async function task(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(await denoCommand(), { args: ["task", "-q", ...args] })
    .output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("a TensorFlow version that is none, and a library without its checksum, are wrong usage", async () => {
  const { code, err } = await task("native", "--tensorflow", "newest");
  assertEquals(code, 2);
  assertStringIncludes(err, 'reading --tensorflow: found "newest"; allowed: a version such as 2.21.0');
  const alone = await task("native", "--addon", "0".repeat(64));
  assertEquals(alone.code, 2);
  assertStringIncludes(
    alone.err,
    "--library HEX too: nothing is loaded whose SHA-256 neither this package nor you have",
  );
});

Deno.test("the doctor says of every backend whether it works, and names the first that does", async () => {
  const { code, out, err } = await task("doctor", "--json");
  assertEquals(code, 0, err);
  const { backends, chosen, cpu, deno } = JSON.parse(out) as {
    backends: { name: string; works: boolean; gigaflops?: number; seconds?: { product: number; step: number } }[];
    chosen: BackendName;
    cpu: { cores: number };
    deno: string;
  };
  assertEquals(backends.map(({ name }) => name), ["tensorflow", "webgpu", "wasm", "cpu"]);
  const works = backends.filter(({ works }) => works).map(({ name }) => name);
  assert(works.includes(chosen) && (works[0] === chosen || works[0] === "webgpu"), `${chosen} of ${works}`);
  assertEquals(backends.map(({ works }) => works), backends.map(({ gigaflops }) => gigaflops !== undefined));
  assert(backends.every(({ works, seconds }) => !works || (seconds!.product > 0 && seconds!.step > 0)));
  assertEquals([cpu.cores, deno], [navigator.hardwareConcurrency, Deno.version.deno]);
  const words = await task("doctor");
  assertEquals(words.out.includes("continued on processors"), works.includes("tensorflow"));
  assertStringIncludes(words.out, `--backend auto takes ${chosen}`);
  assertEquals(words.out.includes("deno task native"), engineKind(chosen).advice !== "");
});
