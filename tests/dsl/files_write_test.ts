import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { claimFolder } from "../../dsl/files/claim.ts";
import { clearLeftovers, makeFolder, openAppend, requirePlace, writeJson, writeWhole } from "../../dsl/files/write.ts";

/** A folder that is removed after the test, with a victim beside what the test writes. */
async function place(): Promise<{ readonly folder: string; readonly victim: string } & AsyncDisposable> {
  const root = await Deno.makeTempDir();
  const folder = `${root}/run`;
  await Deno.mkdir(folder);
  const victim = `${root}/victim`;
  await Deno.writeTextFile(victim, "theirs");
  return { folder, victim, [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }) };
}

const names = (folder: string) => Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();

Deno.test("a file appears whole, replaces one of its name, and leaves nothing beside it", async () => {
  await using own = await place();
  await writeWhole(`${own.folder}/a`, "long text");
  await writeWhole(`${own.folder}/a`, Uint8Array.of(1, 2));
  assertEquals(await Deno.readFile(`${own.folder}/a`), Uint8Array.of(1, 2));
  await writeJson(`${own.folder}/b.json`, { a: 1 });
  assertEquals(await Deno.readTextFile(`${own.folder}/b.json`), '{\n  "a": 1\n}\n');
  const failing = writeWhole(`${own.folder}/a`, async (write) => {
    await write(Uint8Array.of(9));
    throw new Error("no more");
  });
  await assertRejects(() => failing, Error, "no more");
  assertEquals(await Deno.readFile(`${own.folder}/a`), Uint8Array.of(1, 2));
  await assertRejects(() => writeWhole(`${own.folder}`, "x"), Error, "a folder");
  await assertRejects(() => writeWhole(`${own.folder}/none/a`, "x"), Error, "no such file or directory");
  // The name that it is written under says nothing to anybody.
  const lost = `writing ${own.folder}/none/a: found no such file or directory: ${own.folder}/none; allowed: a file`;
  assertThrows(() => openAppend(`${own.folder}/none/a`, Uint8Array.of(1)), Error, lost);
  assertThrows(() => requirePlace(`${own.folder}/none/a`), Error, lost);
  assertThrows(() => requirePlace(`${own.folder}/a/b`), Error, `found no folder: ${own.folder}/a; allowed`);
  requirePlace(`${own.folder}/c`);
  assertEquals(names(own.folder), ["a", "b.json"]);
});

Deno.test("links are refused: as the file, as a folder on the way, as a file that grows", async () => {
  await using own = await place();
  await Deno.symlink(own.victim, `${own.folder}/a`);
  await assertRejects(() => writeWhole(`${own.folder}/a`, "x"), Error, "found a link");
  assertThrows(() => openAppend(`${own.folder}/a`, Uint8Array.of(1)), Error, "found a link");
  await Deno.mkdir(`${own.folder}/../outside`);
  await Deno.symlink("../outside", `${own.folder}/checkpoint`);
  const within = own.folder;
  await assertRejects(() => writeWhole(`${own.folder}/checkpoint/a`, "x", { within }), Error, "checkpoint");
  await assertRejects(() => makeFolder(`${own.folder}/checkpoint/b`, { within }), Error, "checkpoint");
  await assertRejects(() => writeWhole(`${own.folder}/../outside/a`, "x", { within }), Error, "a path out of it");
  assertEquals(names(`${own.folder}/../outside`), []);
  assertEquals(await Deno.readTextFile(own.victim), "theirs");
});

Deno.test("what grows goes to the file that was made, whatever takes its name", async () => {
  await using own = await place();
  const log = `${own.folder}/log`;
  {
    using file = openAppend(log, new TextEncoder().encode("a\n"));
    file.append(new TextEncoder().encode("b\n"));
    assertEquals(await Deno.readTextFile(log), "a\nb\n");
    await Deno.remove(log);
    await Deno.symlink(own.victim, log);
    file.append(new TextEncoder().encode("c\n"));
  }
  assertEquals(await Deno.readTextFile(own.victim), "theirs");
});

Deno.test("leftovers of writers that are gone are removed, those of running ones and other files stay", async () => {
  await using own = await place();
  const leftover = `.onelora-${crypto.randomUUID()}.tmp`;
  await Deno.writeTextFile(`${own.folder}/${leftover}`, "half");
  await Deno.writeTextFile(`${own.folder}/.onelora-mine.tmp`, "another's");
  await Deno.symlink(own.victim, `${own.folder}/.onelora-${crypto.randomUUID()}.tmp`);
  await writeWhole(`${own.folder}/a`, async (write) => {
    clearLeftovers(own.folder);
    assertEquals(names(own.folder).filter((name) => name.endsWith(".tmp")).length, 3);
    await write(Uint8Array.of(1));
  });
  assert(!names(own.folder).includes(leftover));
  assertEquals(await Deno.readTextFile(own.victim), "theirs");
});

Deno.test("a folder has one owner, who is named; a dead one's claim is free", async () => {
  await using own = await place();
  {
    using _claim = await claimFolder(own.folder, "train");
    const { message } = await assertRejects(() => claimFolder(own.folder, "report"), Error);
    assertMatch(message, /report in .*: found train of process \d+ on .+ since \d{4}-/);
  }
  assertEquals(names(own.folder), []);
  // What a killed process leaves: the file, with nobody's lock on it.
  await Deno.writeTextFile(`${own.folder}/.onelora.lock`, '{"purpose":"train","pid":1}\n');
  await Deno.writeTextFile(`${own.folder}/.onelora-${crypto.randomUUID()}.tmp`, "half");
  {
    using claim = await claimFolder(own.folder, "train");
    assertEquals(names(claim.folder), [".onelora.lock"]);
    assertStringIncludes(await Deno.readTextFile(`${own.folder}/.onelora.lock`), `"pid":${Deno.pid}`);
  }
  assertEquals(names(own.folder), []);
  // Of a folder that somebody removes meanwhile nothing is left to let go of.
  {
    using claim = await claimFolder(`${own.folder}/short`, "train");
    await Deno.remove(claim.folder, { recursive: true });
  }
  assertEquals(names(own.folder), []);
});

Deno.test("claims follow no links and leave no empty folders", async () => {
  await using own = await place();
  await Deno.symlink(own.victim, `${own.folder}/.onelora.lock`);
  await assertRejects(() => claimFolder(own.folder, "train"), Error, "found a link");
  await Deno.remove(`${own.folder}/.onelora.lock`);
  await Deno.mkdir(`${own.folder}/checkpoint`);
  await Deno.symlink(own.victim, `${own.folder}/checkpoint/last.safetensors`);
  await assertRejects(() => claimFolder(own.folder, "train"), Error, "a link at");
  assertEquals(names(own.folder), ["checkpoint"]);
  {
    using _claim = await claimFolder(`${own.folder}/new`, "train");
  }
  assertEquals(names(own.folder), ["checkpoint"]);
  assertEquals(await Deno.readTextFile(own.victim), "theirs");
});
