/**
 * The files of the page: its code in one piece, the model, what tfjs-wasm needs, and some of MNIST's digits.
 *
 * @module
 */
import manifest from "../../deno.json" with { type: "json" };
import { OneloraError } from "../../dsl/error.ts";
import { readWhole } from "../../dsl/files/read.ts";
import { packageFolder } from "../../tasks/data/files.ts";
import { openMnist } from "../../tasks/data/mnist.ts";
import type { ImageDataset } from "../../tasks/data/dataset.ts";
import { denoCommand, moduleArgument } from "../cli/deno.ts";

/** Files by their path in the page's folder. */
export type Site = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

const root = new URL("../../", import.meta.url);

/**
 * A module with everything that it imports, for browsers. Needs `--allow-run=deno`.
 *
 * @param module Where it is
 * @throws OneloraError with what deno said, if it cannot be bundled
 */
export async function bundled(module: URL): Promise<Uint8Array<ArrayBuffer>> {
  const { success, stdout, stderr } = await new Deno.Command(await denoCommand(), {
    args: ["bundle", "--quiet", "--frozen", "--platform=browser", "--minify", moduleArgument(module)],
    cwd: root,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return new Uint8Array(stdout);
  // deno-lint-ignore no-control-regex -- colours are control characters
  const said = new TextDecoder().decode(stderr).replace(/\x1b\[[0-9;]*m/g, "").trim().split("\n");
  throw new OneloraError({
    attempted: `bundling ${moduleArgument(module)}`,
    found: said.find((line) => /error/i.test(line)) ?? said.at(-1) ?? "nothing",
    allowed: "deno bundle, which fetches its bundler from an npm registry once",
  });
}

/** The binaries that tfjs-wasm fetches from beside the code that uses it. */
export async function wasmBinaries(): Promise<Site> {
  const folder = await packageFolder(manifest.imports["@tensorflow/tfjs-backend-wasm"]);
  const names = ["tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm"];
  return new Map(
    await Promise.all(
      names.map(async (name) => [`code/${name}`, await readWhole(new URL(`dist/${name}`, folder))] as const),
    ),
  );
}

/** A preset's files, where a page's code looks for them. */
export async function presetFiles(preset: string): Promise<Site> {
  const names = ["config.json", "model.safetensors"].map((name) => `weights/${preset}/${name}`);
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readWhole(new URL(`models/${name}`, root))] as const)),
  );
}

/** Digits of MNIST that the page has. */
const DIGITS = { train: 1000, test: 200 } as const;

/** The first digits of a part, as MNIST's own files have them. */
async function idxFiles(part: keyof typeof DIGITS, dataset: ImageDataset): Promise<Site> {
  const count = DIGITS[part];
  const header = (...numbers: readonly number[]) => {
    const bytes = new Uint8Array(4 * numbers.length);
    numbers.forEach((number, i) => new DataView(bytes.buffer).setUint32(4 * i, number));
    return bytes;
  };
  const examples = await Promise.all(Array.from({ length: count }, (_, i) => dataset.get(i)));
  const joined = async (...parts: readonly Uint8Array[]) =>
    new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  return new Map([
    [
      `digits/${part}-images.idx`,
      await joined(header(0x803, count, 28, 28), ...examples.map(({ pixels }) => pixels)),
    ],
    [
      `digits/${part}-labels.idx`,
      await joined(header(0x801, count), Uint8Array.from(examples, ({ label }) => label)),
    ],
  ]);
}

/** All files of the page. Needs `--allow-read` and `--allow-run=deno`. */
export async function buildSite(): Promise<Site> {
  const client = new URL("./client/", import.meta.url);
  const plain = async (name: string) => [name, await readWhole(new URL(name, client))] as const;
  const code = async (name: string, file: string) => [`code/${name}.js`, await bundled(new URL(file, client))] as const;
  const { train, test } = await openMnist();
  const parts = await Promise.all([
    Promise.all([plain("index.html"), plain("style.css"), code("app", "window/app.ts"), code("worker", "worker.ts")]),
    wasmBinaries(),
    presetFiles("vit-micro"),
    idxFiles("train", train),
    idxFiles("test", test),
  ]);
  return new Map(parts.flatMap((part) => [...part]));
}
