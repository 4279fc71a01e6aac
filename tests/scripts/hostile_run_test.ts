import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { readJsonFile } from "../../dsl/files/python_json.ts";
import { joinCells, readSummary } from "../../scripts/commands/sweep/folder.ts";
import { readRunConfig } from "../../tasks/fine_tune/config.ts";
import { readRunFolder } from "../../tasks/report/folder.ts";
import { failure, linesOf, output, runTask, smallCifar, start } from "../support/command.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const common = ["--model", "tests/fixtures/vit-rgb", "--data", data, "--backend", "wasm", "--batch-size", "8"];
const victim = `${folder}/victim`;

Deno.test("a hostile run folder: nothing outside is read or written", async () => {
  const run = `${folder}/theirs`;
  await output("train", ...common, "--steps", "2", "--out", run);
  await Deno.writeTextFile(victim, "a secret of the victim");
  const names = ["config.json", "summary.json", "metrics.jsonl", "report.html", "checkpoint/last.safetensors"];
  const places = [...names, ...names.map((name) => `${name}.tmp`), "notes.txt", ".onelora.lock", "evaluation.json"];
  for (const name of places) {
    const path = `${run}/${name}`;
    const before = await Deno.readFile(path).catch(() => undefined);
    if (before !== undefined) await Deno.remove(path);
    await Deno.symlink(victim, path);
    for (const args of [["train", "--resume", run, "--steps", "4"], ["report", "--run", run]]) {
      const [code, line] = await failure(args[0], ...args.slice(1));
      assertEquals(code, 1, line);
      assert(!line.startsWith("unexpected"), line);
      assert(!line.includes("secret"), line);
    }
    assertEquals(await Deno.readTextFile(victim), "a secret of the victim", name);
    await Deno.remove(path);
    if (before !== undefined) await Deno.writeFile(path, before);
  }
  await Deno.mkdir(`${folder}/outside`);
  for (const name of ["checkpoint", "adapter", "pictures"]) {
    const path = `${run}/${name}`;
    await Deno.rename(path, `${path}.kept`).catch(() => undefined);
    await Deno.symlink(`${folder}/outside`, path);
    const [, line] = await failure("train", "--resume", run, "--steps", "4");
    assertStringIncludes(line, `a link at ${path}`);
    await Deno.remove(path);
    await Deno.rename(`${path}.kept`, path).catch(() => undefined);
  }
  assertEquals(Array.from(Deno.readDirSync(`${folder}/outside`)), []);
  await output("train", "--resume", run, "--steps", "4");
  assertEquals(Array.from(Deno.readDirSync(run)).filter(({ name }) => name.startsWith(".")), []);
});

Deno.test("a run's folder is its own while it runs, and free when it has died", async () => {
  const run = `${folder}/own`;
  const running = start("train", ...common, "--steps", "1000000", "--checkpoint-every", "1", "--out", run);
  while ((await linesOf(`${run}/metrics.jsonl`)).length < 3) await new Promise((resolve) => setTimeout(resolve, 50));
  for (const args of [["train", "--resume", run], ["train", ...common, "--out", run], ["report", "--run", run]]) {
    const [code, line] = await failure(args[0], ...args.slice(1));
    assertEquals(code, 1);
    assertMatch(line, new RegExp(`found train of process ${running.process.pid} on .+ since 20`));
  }
  running.process.kill("SIGKILL");
  await running.outcome;
  const { code, err } = await runTask("train", "--resume", run, "--steps", "1");
  assertEquals(code, 0, err);
});

Deno.test("a folder with checkpoints and no configuration is not written over", async () => {
  const run = `${folder}/nameless`;
  await Deno.mkdir(`${run}/checkpoint`, { recursive: true });
  await Deno.writeTextFile(`${run}/checkpoint/last.safetensors`, "hours of work");
  const [code, line] = await failure("train", ...common, "--steps", "1", "--out", run);
  assertEquals(code, 1);
  assertStringIncludes(line, "checkpoint/last.safetensors of another run, without its config.json");
  assertEquals(await Deno.readTextFile(`${run}/checkpoint/last.safetensors`), "hours of work");
});

Deno.test("settings that are nested without end or larger than any are refused before they are parsed", async () => {
  const run = `${folder}/swollen`;
  await Deno.mkdir(run);
  const refused = async (name: string, part: string, readers: readonly ((run: string) => Promise<unknown>)[]) => {
    for (const read of readers) {
      const error = await assertRejects(() => read(run), OneloraError, part);
      assert(!error.message.includes("\n") && error.message.includes(name));
    }
  };
  await Deno.writeTextFile(`${run}/config.json`, `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`);
  await refused("config.json", "nesting deeper than 64 levels", [readRunConfig, readRunFolder]);
  await Deno.truncate(`${run}/config.json`, 2 ** 24 + 1);
  await refused("config.json", "16777217 bytes", [readRunConfig]);
  await Deno.writeTextFile(`${run}/summary.json`, "[".repeat(200_000));
  await Deno.writeTextFile(`${run}/config.json`, "{}");
  await refused("summary.json", "nesting deeper than 64 levels", [readRunFolder, readSummary]);
});

Deno.test("a sweep's list of runs leads nowhere outside of its folder, and no message quotes a file", async () => {
  const sweep = `${folder}/sweep`;
  await Deno.mkdir(sweep);
  for (const name of ["../victim", "a/../../victim", "/etc", ""]) {
    const cell = { name, method: "1lora", adapter: "1lora", seed: 0 };
    await Deno.writeTextFile(`${sweep}/cells.json`, JSON.stringify([cell]));
    await assertRejects(() => joinCells(sweep, []), OneloraError, "no list of a sweep's runs");
  }
  for (const text of ["secret of the victim", `{"a": "${"b".repeat(99)}", secret}`]) {
    await Deno.writeTextFile(`${sweep}/config.json`, text);
    for (const read of [readRunConfig, readRunFolder, () => readJsonFile(`${sweep}/config.json`)]) {
      const { message } = await assertRejects(() => read(sweep) as Promise<unknown>, OneloraError);
      assert(message.includes("JSON") && !message.includes("ecret"), message);
    }
  }
});
