import { assert, assertEquals } from "@std/assert";
import { backendNames } from "../dsl/engine/mod.ts";

/** Every TypeScript file of the project, by its path. */
async function sources(folder = "."): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = folder === "." ? name : `${folder}/${name}`;
    if (isDirectory && !/^(\.|runs$|node_modules$)/.test(name)) {
      for (const entry of await sources(path)) found.set(...entry);
    } else if (name.endsWith(".ts")) found.set(path, await Deno.readTextFile(path));
  }
  return found;
}

const code = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|[\s;])\/\/.*$/gm, "");
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g;

/** The files that a file imports, types or values. */
function importsOf(path: string, text: string): readonly string[] {
  return [...code(text).matchAll(IMPORT)].map(([, specifier]) => {
    const found = new URL(specifier, `file:///${path}`).pathname.slice(1);
    // The kernels that are compiled to WebAssembly leave the ending out.
    return /\.\w+$/.test(found) ? found : `${found}.ts`;
  });
}

/** A circle of files each of which imports the next, if there is one. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const walk = (path: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const next of imports.get(path) ?? []) {
      const circle = walk(next, [...way, path]);
      if (circle !== undefined) return circle;
    }
    done.add(path);
  };
  for (const path of imports.keys()) {
    const circle = walk(path, []);
    if (circle !== undefined) return circle;
  }
}

Deno.test("no file imports itself, by whatever way round, types included", async () => {
  const files = await sources();
  const imports = new Map([...files].map(([path, text]) => [path, importsOf(path, text)]));
  assert(imports.get("dsl/mod.ts")!.includes("dsl/tree.ts"));
  const missing = [...imports].flatMap(([path, found]) =>
    found.filter((each) => !files.has(each) && !each.endsWith(".json")).map(() => path)
  );
  // Some files that kernels import are written, imports and all, while they are compiled.
  const around = /assembly\/(matmul|stored|winograd)\.ts$|kernels\/(micro_kernel|block_rows)\.ts$/;
  assertEquals(missing.filter((path) => !around.test(path)), []);
  assertEquals(circleIn(imports), undefined);
  assertEquals(circleIn(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), ["b", "c", "b"]);
});

/** From the ground up: a room may import from those on floors below its own. */
const FLOORS = [["dsl"], ["adapters", "models"], ["tasks"], ["scripts"], ["tests"]];

Deno.test("arrows between rooms go one way, from dsl through adapters and models, each alone, and tasks to scripts", async () => {
  const roomOf = (path: string) => path.split("/")[0];
  const floorOf = (path: string) => FLOORS.findIndex((rooms) => rooms.includes(roomOf(path)));
  const isAcross = (path: string, found: string) =>
    floorOf(path) >= 0 && roomOf(path) !== roomOf(found) && floorOf(found) >= floorOf(path);
  const across = [...await sources()].flatMap(([path, text]) =>
    importsOf(path, text).filter((found) => isAcross(path, found)).map((found) => `${path} imports ${found}`)
  );
  assertEquals(across, []);
  assert(isAcross("dsl/layer.ts", "tasks/mod.ts") && !isAcross("tasks/mod.ts", "dsl/layer.ts"));
  assert(isAcross("models/open.ts", "adapters/mod.ts") && !isAcross("models/open.ts", "models/family.ts"));
});

const names = backendNames.map((name) => `["'\`]${name}["'\`]`).join("|");
const COMPARISON = new RegExp(`(?:[=!]==?|\\bcase)\\s*(?:${names})|(?:${names})\\s*[=!]==?`);

Deno.test("only engines and tests compare a backend's name; whatever else differs is asked of the engine", async () => {
  // Tests may say what they expect of one of them.
  const isTheirs = (path: string) => /^(dsl\/engine|tests)\//.test(path);
  const elsewhere = [...await sources()].filter(([path]) => !isTheirs(path));
  assertEquals(elsewhere.flatMap(([path, text]) => COMPARISON.test(code(text)) ? [path] : []), []);
  assert(COMPARISON.test(`if (tf.getBackend() === "wasm")`) && COMPARISON.test(`case "tensorflow":`));
});

const TASK_FOLDER = /^tasks\/(depth|generation|image_classification|reasoning|text)\//;
const OWN_NAMES = new RegExp(
  "[\"'`](image-classification|reasoning|depth|generation|vit|llama|dit|depth_anything|autoencoder_kl|inception_v3)[\"'`]",
);

Deno.test("the trainer and the commands import no single task's folder, and name no task and no family", async () => {
  const files = await sources();
  const general = [...files].filter(([path]) => /^(tasks\/trainer|scripts)\//.test(path));
  assert(general.length > 50);
  // Fuzzers call every reader of files, wherever it is.
  const isFuzzer = (path: string) => path.startsWith("scripts/tools/fuzz/");
  const reaching = general.filter(([path, text]) =>
    !isFuzzer(path) && importsOf(path, text).some((found) => TASK_FOLDER.test(found))
  );
  assertEquals(reaching.map(([path]) => path), []);
  // The paper's tables and the shipped models' recipes are data about tasks, not code that knows them.
  const isData = (path: string) => /^scripts\/(tools\/|commands\/sweep\/paper)/.test(path);
  const naming = general.filter(([path, text]) => !isData(path) && OWN_NAMES.test(code(text)));
  assertEquals(naming.map(([path]) => path), []);
  assert(OWN_NAMES.test(`family === "vit"`) && TASK_FOLDER.test("tasks/depth/files.ts"));
  // The one list of tasks, besides what types of the front door say of each.
  const registries = [...files].filter(([path, text]) =>
    path.startsWith("tasks/") && new Set(importsOf(path, text).map((found) => TASK_FOLDER.exec(found)?.[1])).size > 3
  );
  assertEquals(registries.map(([path]) => path).sort(), ["tasks/kinds.ts", "tasks/mod.ts"]);
});

Deno.test("a page loads what users import: no room imports node's modules, which are asked for when they are needed", async () => {
  const rooms = [...await sources()].filter(([path]) => /^(dsl|adapters|models|tasks)\//.test(path));
  const NODE = /^(?:import(?! type)[^;]*?from|import) "node:/m;
  const importing = rooms.filter(([, text]) => NODE.test(code(text).replaceAll(/`[^`]*`/g, "")));
  assertEquals(importing.map(([path]) => path), []);
  assert(NODE.test(`import { join } from "node:path";`) && !NODE.test(`import type { Hash } from "node:crypto";`));
});
