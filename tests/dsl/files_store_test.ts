import { assert, assertEquals, assertRejects } from "@std/assert";
import { isEqual } from "../../dsl/equal.ts";
import { addresses } from "../../dsl/files/path.ts";
import { addressed, isMissing, Missing } from "../../dsl/files/store.ts";
import { memoryFiles, type OneloraError, openSafetensors, writeSafetensors } from "../../dsl/mod.ts";
import { endedBy, immediate, Interruption, oneScope } from "../../dsl/turn.ts";

/** Answers while the body runs; the paths and ranges that were asked for. */
async function served(
  answer: (request: Request) => Response,
  body: (address: string) => Promise<void>,
): Promise<readonly string[]> {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    asked.push(`${request.method} ${new URL(request.url).pathname} ${request.headers.get("range") ?? "all"}`);
    return answer(request);
  });
  try {
    await body(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
  return asked;
}

const content = Uint8Array.from({ length: 3 * 2 ** 20 + 5 }, (_, i) => i * 7 % 251);

function ranged({ headers }: Request): Response {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "")!;
  const end = Math.min(Number(last), content.length - 1);
  return new Response(content.subarray(Number(first), end + 1), {
    status: 206,
    headers: { "content-range": `bytes ${first}-${end}/${content.length}` },
  });
}

Deno.test("a file at an address is read by ranges, each of them once", async () => {
  const asked = await served(ranged, async (address) => {
    const file = await addressed.open(`${address}/model.safetensors`);
    assertEquals(file.bytes, content.length);
    for (const [begin, length] of [[0, 8], [2 ** 20 - 3, 6], [2 ** 20, 100], [content.length - 5, 5]]) {
      const into = new Uint8Array(length);
      await file.fill(begin, into);
      assertEquals(into, content.slice(begin, begin + length));
    }
    await assertRejects(() => file.fill(content.length - 1, new Uint8Array(2)), RangeError);
    file.close();
  });
  assertEquals(asked.map((line) => line.split(" ")[2]), [
    "bytes=0-1048575",
    "bytes=1048576-2097151",
    "bytes=3145728-3145732",
  ]);
});

Deno.test("a server that knows no ranges gives a file whole, once; a file that changes and what is missing are errors", async () => {
  const asked = await served(() => new Response(content), async (address) => {
    const file = await addressed.open(`${address}/x.json`);
    const into = new Uint8Array(10);
    await file.fill(2 ** 21, into);
    await file.fill(5, into);
    assertEquals([file.bytes, into], [content.length, content.slice(5, 15)]);
  });
  assertEquals(asked.length, 1);
  let size = content.length;
  await served((request) => {
    const { status, headers, body } = ranged(request);
    const [range] = headers.get("content-range")!.split("/");
    return new Response(body, { status, headers: { "content-range": `${range}/${size++}` } });
  }, async (address) => {
    const file = await addressed.open(`${address}/x.bin`);
    await assertRejects(() => file.fill(2 ** 20, new Uint8Array(1)), Error, "changed");
  });
  const missing = await served(
    ({ url }) => new Response(null, { status: url.endsWith("/b.bin") ? 200 : 404 }),
    async (address) => {
      assert(isMissing(await assertRejects(() => addressed.open(`${address}/none.json`), Missing)));
      assertEquals(await addressed.names(`${address}/model`, ["a.bin", "b.bin", "c.bin"]), ["b.bin"]);
      assertEquals(await addressed.stat(`${address}/model-1.5`), { isFile: false, isDirectory: true });
    },
  );
  assertEquals(missing.at(-1), "HEAD /model/b.bin all");
});

Deno.test("files in memory are written and read as those of a folder", async () => {
  const x = { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) } as const;
  await writeSafetensors("memory:folder/model.safetensors", [["x", x]]);
  try {
    await using found = await openSafetensors("memory:folder");
    assertEquals(await found.read("x"), x);
    const error = await assertRejects(() => openSafetensors("memory:other")) as OneloraError;
    assertEquals(error.problem.attempted, "reading memory:other");
  } finally {
    memoryFiles.delete("folder/model.safetensors");
  }
});

Deno.test("paths of addresses keep their origin", () => {
  const { basename, dirname, extname, join, relative } = addresses;
  assertEquals(join("https://a.b/c/", "../d", "./e.json"), "https://a.b/d/e.json");
  assertEquals(join("https://a.b", "c"), "https://a.b/c");
  assertEquals(dirname("https://a.b/c/d.json"), "https://a.b/c");
  assertEquals([basename("https://a.b/c/"), basename("memory:x.bin", ".bin"), basename("https://a.b")], ["c", "x", ""]);
  assertEquals([join("memory:a", "b"), dirname("memory:a/b"), extname("/a.b/c.json")], [
    "memory:a/b",
    "memory:a",
    ".json",
  ]);
  assertEquals([relative("a/b", "a/c/d"), join("/a", "b"), join("a", "..", "b")], ["../c/d", "/a/b", "b"]);
});

Deno.test("values of plain data are the same by what they hold", () => {
  assert(isEqual([{ a: 1, b: [NaN] }], [{ b: [NaN], a: 1 }]) && isEqual(Uint32Array.of(1), Uint32Array.of(1)));
  const others: readonly (readonly [unknown, unknown])[] = [[[1], [1, 2]], [[1], { 0: 1 }], [null, {}], [0, -0], [
    { a: undefined },
    { b: undefined },
  ]];
  for (const [a, b] of others) assert(!isEqual(a, b));
});

Deno.test("where nothing follows promises, work that a signal ends is done one at a time", async () => {
  const scopes = oneScope();
  const [first, second] = [new AbortController().signal, new AbortController().signal];
  await scopes.run({ signal: first }, async () => {
    assertEquals(scopes.getStore(), { signal: first });
    // Parts of it have the same signal or none.
    await scopes.run({ signal: first }, () => Promise.resolve());
    await scopes.run({}, () => Promise.resolve(assertEquals(scopes.getStore(), {})));
    await assertRejects(() => scopes.run({ signal: second }, () => Promise.resolve()), Error, "one at a time");
  });
  await scopes.run({ signal: second }, () => Promise.resolve());
  assertEquals(scopes.getStore(), undefined);
  await immediate();
  await assertRejects(
    () => endedBy(AbortSignal.abort(), async () => await (await import("../../dsl/turn.ts")).turn()),
    Interruption,
  );
});
