/**
 * The package as its users have it: in a folder that holds no checkout, the commands run by their published names, with
 * the permissions that the README gives, and what they tell to type is what the user has.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { denoCommand, permissionArguments } from "../../scripts/cli/deno.ts";

const root = fileOf(new URL("../../", import.meta.url)).replace(/\/$/, "");

/** A folder whose deno.json links the package of this checkout, in place of the registry's. */
async function withPackage(body: (run: typeof published, folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const links = [root, `${root}/scripts/tools/std/cli`, `${root}/scripts/tools/std/assert`];
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ links, lock: false }));
    await body(published, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a published command in a folder. */
async function published(folder: string, command: string, ...args: readonly string[]): Promise<string> {
  const set = ["merge", "params"].includes(command) ? "merge" : "train";
  const { success, stdout, stderr } = await new Deno.Command(await denoCommand(), {
    args: ["run", "--quiet", "--no-prompt", ...permissionArguments(set), `jsr:@onelora/onelora/${command}`, ...args],
    cwd: folder,
    stdin: "null",
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert(success, `${command}: ${err}`);
  return out + err;
}

Deno.test("train, evaluate, merge and params run in a folder that holds no checkout", async () => {
  await withPackage(async (run, folder) => {
    const trained = await run(folder, "train", "--steps", "3", "--limit", "32", "--out", "run", "--backend", "wasm");
    assertMatch(trained, /accuracy \d/);
    assert(!trained.includes("deno task"), trained);
    const metrics = await run(folder, "evaluate", "--run", "run", "--limit", "32", "--backend", "wasm");
    assertMatch(metrics, /accuracy +\d/);
    await run(folder, "merge", "--model", "vit-micro", "--adapter", "run/adapter", "--out", "merged");
    assertEquals(
      [...Deno.readDirSync(`${folder}/merged`)].map(({ name }) => name).sort().includes("config.json"),
      true,
    );
    assertMatch(await run(folder, "params", "--model", "vit-micro"), /trainable +4,608/);
    assertMatch(await run(folder, "train", "--help"), /Usage: deno run jsr:@onelora\/onelora\/train /);
  });
});

Deno.test("every command but the page is published, as a file that the package holds", async () => {
  const { exports, publish, tasks }: {
    readonly exports: Readonly<Record<string, string>>;
    readonly publish: { readonly exclude: readonly string[] };
    readonly tasks: Readonly<Record<string, { readonly command: string }>>;
  } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  for (const [name, { command }] of Object.entries(tasks)) {
    const file = command.split(" ").find((word) => word.startsWith("scripts/commands/"));
    // The page is built by a bundler out of a checkout.
    if (file === undefined || name === "page") continue;
    assertEquals(exports[`./${name}`], `./${file}`);
    assert(publish.exclude.every((excluded) => !file.startsWith(excluded)), file);
  }
});
