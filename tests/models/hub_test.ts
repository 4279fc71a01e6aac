import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { key, OneloraError, openSafetensors, type Params, writeSafetensors } from "../../dsl/mod.ts";
import { fetchModel, type HubOptions, loadParams, openModel, parseHubName, type Transfer } from "../../models/mod.ts";
import { withoutLeaks } from "../support/compare.ts";
import { type HubServer, type Repository, startHub } from "../support/hub_server.ts";
import { isWindows } from "../support/system.ts";

const fixtures = fileOf(new URL("../fixtures/", import.meta.url));
const read = (path: string) => Deno.readFile(`${fixtures}${path}`);
const text = (value: string) => new TextEncoder().encode(value);
const [first, second] = ["1".repeat(40), "2".repeat(40)];

/** A tiny LLaMA, moved on by a README, tagged, with folders; a sharded one; one of PyTorch's; one that is gated. */
async function repositories(): Promise<Readonly<Record<string, Repository>>> {
  const model = {
    "config.json": await read("llama-tied/config.json"),
    "generation_config.json": await read("llama-tied/generation_config.json"),
    "tokenizer.json": text('{"version": "1.0"}'),
    "model.safetensors": await read("llama-tied/model.safetensors"),
    "pytorch_model.bin": text("never asked for"),
    "nested/config.json": await read("pytorch/dit-original/config.json"),
    "nested/weights.pth": await read("pytorch/dit-original/weights.pth"),
  };
  const branches = { main: second, "v1.0": first, "refs/pr/1": first };
  return {
    "some/llama": { branches, commits: { [first]: model, [second]: { ...model, "README.md": text("new") } } },
    "some/gated": { branches, commits: { [second]: model }, gated: true },
    "some/sharded": { branches: { main: first }, commits: { [first]: await shards(model) } },
    "some/parts": { branches: { main: first }, commits: { [first]: { "vae/config.json": text("{}") } } },
  };
}

/** The model in two shards and their index. */
async function shards(
  model: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
): Promise<Repository["commits"][string]> {
  const folder = await Deno.makeTempDir();
  await using whole = await openSafetensors(`${fixtures}llama-tied`);
  const files: Record<string, Uint8Array<ArrayBuffer>> = { "config.json": model["config.json"] };
  const map: Record<string, string> = {};
  for (const [i, names] of [whole.names.slice(0, 8), whole.names.slice(8)].entries()) {
    const shard = `model-0000${i + 1}-of-00002.safetensors`;
    const entries = names.map(async (name) => [name, await whole.read(name)] as const);
    await writeSafetensors(`${folder}/${shard}`, await Promise.all(entries));
    files[shard] = await Deno.readFile(`${folder}/${shard}`);
    for (const name of names) map[name] = shard;
  }
  await Deno.remove(folder, { recursive: true });
  return { ...files, "model.safetensors.index.json": text(JSON.stringify({ weight_map: map })) };
}

/** Runs a test body with a hub and an empty cache. */
async function withHub(body: (hub: HubServer, options: HubOptions & { readonly cache: string }) => Promise<void>) {
  await using hub = startHub(await repositories());
  const cache = await Deno.makeTempDir();
  try {
    await body(hub, { cache, endpoint: hub.endpoint, offline: false });
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** Requests for bytes since the last look. */
function downloads({ requests }: HubServer): readonly string[] {
  return requests.splice(0).filter((each) => !each.includes(" /api/"));
}

async function refusal(name: string, options: HubOptions): Promise<string> {
  const { message } = await assertRejects(() => fetchModel(name, options), OneloraError);
  assert(!message.includes("\n"), message);
  return message;
}

function assertSame(found: Params, expected: Params): void {
  assertEquals(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const path of Object.keys(expected)) assertEquals(found[path].dataSync(), expected[path].dataSync(), path);
}

Deno.test("hub: a model is opened, its weights come when they are needed, and the second time nothing does", async () => {
  await useBackend("cpu");
  await withHub(async (hub, options) => {
    await withoutLeaks(async () => {
      const seen: Transfer[] = [];
      const model = await openModel("hf:some/llama", { hub: { ...options, onProgress: (each) => seen.push(each) } });
      assertEquals(model.name, `hf:some/llama@${second}`);
      assertEquals(downloads(hub).map((each) => each.split("/").at(-1)), [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
      ]);
      const local = await loadParams(await openModel(`${fixtures}llama-tied`), key(0));
      assertSame((await loadParams(model, key(0))).params, local.params);
      assertEquals(downloads(hub).length, 2, "the hub, then the storage");
      const { length: total } = await read("llama-tied/model.safetensors");
      const weights = seen.filter(({ file }) => file === "model.safetensors");
      assertEquals(weights[0], { file: "model.safetensors", bytes: 0, total });
      assertEquals(weights.at(-1), { file: "model.safetensors", bytes: total, total });

      const again = await fetchModel("hf:some/llama", options);
      assertEquals(again, { name: model.name, folder: model.folder! });
      assertEquals(hub.requests.splice(0), ["GET /api/models/some/llama/revision/main"]);
      const pinned = await openModel(model.name, { hub: options });
      assertSame((await loadParams(pinned, key(0))).params, local.params);
      assertEquals(hub.requests, [], "a commit never changes");
    });
  });
});

Deno.test("hub: the cache is laid out as Hugging Face's tools have it, each file there once", async () => {
  await withHub(async (hub, options) => {
    const main = await fetchModel("hf:some/llama", options);
    const tag = await fetchModel("hf:some/llama@v1.0", options);
    const change = await fetchModel("hf:some/llama@refs/pr/1", options);
    assertEquals([main!.name, tag!.name, change!.name], [second, first, first].map((each) => `hf:some/llama@${each}`));
    const folder = `${options.cache}/models--some--llama`;
    assertEquals(main!.folder, `${folder}/snapshots/${second}`);
    for (const [branch, commit] of [["main", second], ["v1.0", first], ["refs/pr/1", first]]) {
      assertEquals(await Deno.readTextFile(`${folder}/refs/${branch}`), commit);
    }
    const bytes = await read("llama-tied/model.safetensors");
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    if (!isWindows) assertEquals(await Deno.readLink(`${tag!.folder}/model.safetensors`), `../../blobs/${hash}`);
    assertEquals(await Deno.readFile(`${tag!.folder}/model.safetensors`), bytes);
    const blobs = await Array.fromAsync(Deno.readDir(`${folder}/blobs`));
    assert(isWindows || blobs.length === 4, "nothing twice, nothing unfinished");
    assertEquals(downloads(hub).filter((each) => each.includes("resolve")).length, 4);
  });
});

Deno.test("hub: shards, folders and single files of a repository are found", async () => {
  await useBackend("cpu");
  await withHub(async (_, hub) => {
    await withoutLeaks(async () => {
      const local = await loadParams(await openModel(`${fixtures}llama-tied`), key(0));
      const sharded = await openModel("hf:some/sharded", { hub });
      assertSame((await loadParams(sharded, key(0))).params, local.params);

      const dit = await loadParams(await openModel(`${fixtures}pytorch/dit-published`), key(0));
      const nested = await openModel("hf:some/llama/nested", { hub });
      assertEquals([nested.name, nested.family], [`hf:some/llama/nested@${second}`, "dit"]);
      assertSame((await loadParams(nested, key(0))).params, dit.params);

      const file = await openModel("dit-s-2=hf:some/llama/nested/weights.pth@v1.0", { hub });
      assertEquals(file.name, `dit-s-2=hf:some/llama/nested/weights.pth@${first}`);
      await assertRejects(() => loadParams(file, key(0)), OneloraError, "shape [12,1,2,2]; allowed: shape [384,4,2,2]");
    });
    assertStringIncludes(
      await refusal("hf:some/parts", hub),
      "found no config.json there; allowed: a folder with one: hf:some/parts/vae",
    );
    assertStringIncludes(await refusal("hf:some/parts/vae", hub), "found no model.safetensors; allowed");
    assertStringIncludes(await refusal("hf:some/llama/nested/other.pth", hub), "a file that is there");
  });
});

Deno.test("hub: a cut download goes on where it stopped, whether or not the server knows ranges", async () => {
  await withHub(async (hub, options) => {
    const bytes = await read("llama-tied/model.safetensors");
    for (const wholeOnly of [false, true]) {
      const cache = `${options.cache}/${wholeOnly}`;
      Object.assign(hub.faults, { cutAfter: 10_000, wholeOnly: false });
      const line = await refusal("hf:some/llama", { ...options, cache });
      assertStringIncludes(line, `downloading model.safetensors: found 10000 of ${bytes.length} bytes, then`);
      assertStringIncludes(line, "run again to go on from there");
      assertEquals((await Deno.stat(`${cache}/models--some--llama/snapshots/${second}`)).isDirectory, true);
      await assertRejects(() => Deno.stat(`${cache}/models--some--llama/snapshots/${second}/model.safetensors`));
      hub.requests.length = 0;
      Object.assign(hub.faults, { cutAfter: undefined, wholeOnly });
      const seen: number[] = [];
      const model = await fetchModel("hf:some/llama", { ...options, cache, onProgress: (at) => seen.push(at.bytes) });
      assertEquals(downloads(hub).map((each) => each.split(" ")[2]), ["bytes=10000-", "bytes=10000-"]);
      assertEquals(seen[0], wholeOnly ? 0 : 10_000);
      assertEquals(await Deno.readFile(`${model!.folder}/model.safetensors`), bytes);
    }
  });
});

Deno.test("hub: a wrong checksum is an error, leaves nothing, and the next attempt begins anew", async () => {
  await withHub(async (hub, options) => {
    hub.faults.corrupt = true;
    const line = await refusal("hf:some/llama", options);
    assertStringIncludes(line, "downloading model.safetensors: found 37472 bytes with sha256 ");
    assertStringIncludes(line, "run again to begin anew");
    const blobs = await Array.fromAsync(Deno.readDir(`${options.cache}/models--some--llama/blobs`));
    assert(blobs.every(({ name }) => !name.includes("incomplete")));
    hub.faults.corrupt = false;
    assert(await fetchModel("hf:some/llama", options) !== undefined);
  });
});

Deno.test("hub: what is not there or not allowed is said in one line each", async () => {
  await withHub(async (_, options) => {
    const lines: Readonly<Record<string, string>> = {
      "hf:some/nothing": "finding hf:some/nothing@main: found no such repository, or a private one (HTTP status 401",
      "hf:some/llama@v9": "finding hf:some/llama@v9: found no such revision (HTTP status 404, RevisionNotFound)",
      [`hf:some/llama@${"3".repeat(40)}`]: "found no such revision",
      "hf:some/gated": "found a gated repository (HTTP status 401, GatedRepo); allowed: its terms accepted at http://",
      "hf:justaname": "choosing a model: found hf:justaname; allowed: hf:ORG/NAME",
      "hf:some/llama@../../x": "choosing a model",
      "hf:some/../llama": "choosing a model",
    };
    for (const [name, line] of Object.entries(lines)) assertStringIncludes(await refusal(name, options), line);
    const wrong = await refusal("hf:some/gated", { ...options, token: "hf_wrong" });
    assertStringIncludes(wrong, "HTTP status 403, GatedRepo");
    assertStringIncludes(wrong, "a token with access in HF_TOKEN");
    const right = await fetchModel("hf:some/gated", { ...options, token: "hf_right" });
    assertEquals(right!.name, `hf:some/gated@${second}`);
  });
});

Deno.test("hub: without a network the cache is used, and what it lacks is said", async () => {
  await withHub(async (hub, options) => {
    const before = await fetchModel("hf:some/llama", options);
    hub.requests.length = 0;
    const dead = { ...options, endpoint: "http://127.0.0.1:1" };
    assertEquals(await fetchModel("hf:some/llama", dead), before);
    assertEquals(await fetchModel("hf:some/llama", { ...options, offline: true }), before);
    assertStringIncludes(await refusal("hf:some/sharded", dead), "found no answer from 127.0.0.1:1 (");
    assertStringIncludes(await refusal("hf:some/sharded", dead), "allowed: a network with the hub in reach");
    const offline = await refusal("hf:some/sharded", { ...options, offline: true });
    assertStringIncludes(offline, `found nothing of it in ${options.cache}; allowed: what was downloaded before`);
    assertEquals(hub.requests, []);
    // What Hugging Face's own tools have downloaded comes without a list of files.
    await Deno.remove(`${options.cache}/models--some--llama/.onelora`, { recursive: true });
    assertEquals(await fetchModel("hf:some/llama", dead), before);
    const other = { ...options, endpoint: "ftp://somewhere" };
    assertStringIncludes(await refusal("hf:some/llama", other), "allowed: HF_ENDPOINT=https://HOST");
  });
});

Deno.test("hub: a cache that cannot be written and a full disk are errors that say so", async () => {
  await withHub(async (_, options) => {
    await Deno.writeTextFile(`${options.cache}/file`, "");
    assertStringIncludes(
      await refusal("hf:some/llama", { ...options, cache: `${options.cache}/file` }),
      "allowed: a cache that can be written",
    );
    const { length } = await read("llama-tied/model.safetensors");
    const { write } = Deno.FsFile.prototype;
    // Room for notes, none for a model.
    Deno.FsFile.prototype.write = function (bytes) {
      if (bytes.length < 10_000) return write.call(this, bytes);
      return Promise.reject(new Error("No space left on device (os error 28)"));
    };
    try {
      await refusal("hf:some/llama", options);
      const line = await refusal("hf:some/llama/model.safetensors", options);
      assertStringIncludes(line, "found no space left on device");
      assertStringIncludes(line, `has room for ${length} bytes; run again to go on`);
    } finally {
      Deno.FsFile.prototype.write = write;
    }
    assert(await fetchModel("hf:some/llama", options) !== undefined);
  });
});

Deno.test("hub: names say repository, folder or file, and revision", () => {
  assertEquals(parseHubName("hf:org/name"), { repository: "org/name", path: "", revision: "main" });
  assertEquals(parseHubName("hf:org/name/a/b.pth@refs/pr/7"), {
    repository: "org/name",
    path: "a/b.pth",
    revision: "refs/pr/7",
  });
  assertEquals(parseHubName("./hf:org/name"), undefined);
});
