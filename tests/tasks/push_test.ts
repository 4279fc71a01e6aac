/**
 * Adapters to the hub: what is sent, and how the hub's interface is spoken to.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { parse } from "yaml";
import { key, OneloraError, useBackend } from "../../dsl/mod.ts";
import { push } from "../../models/hub/push.ts";
import { adapterCommit } from "../../tasks/push.ts";
import { cardText } from "../../tasks/report/model_card.ts";
import { fineTune, load, openTrained } from "../../tasks/mod.ts";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { failure, output } from "../support/command.ts";
import { root } from "../support/adapter_folders.ts";
import { inFolder } from "../support/data_folder.ts";

const grey = (value: number) => ({ data: new Uint8Array(28 * 28).fill(value), width: 28, height: 28 });
const data = Array.from({ length: 20 }, (_, i) => ({ image: grey(i % 2 * 200 + i), label: i % 2 ? "light" : "dark" }));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const TOKEN = "hf_secret";

/** A request as the hub got it. */
interface Got {
  readonly line: string;
  readonly authorised: boolean;
  readonly body: Uint8Array;
}

/** A hub that takes commits: safetensors go to a storage of their own. */
function takingHub(has: { repository?: boolean; object?: boolean; refuses?: boolean }) {
  const got: Got[] = [];
  const quiet = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const note = async (request: Request): Promise<Uint8Array> => {
    const body = new Uint8Array(await request.arrayBuffer());
    const header = request.headers.get("authorization");
    got.push({
      line: `${request.method} ${new URL(request.url).pathname}`,
      authorised: header === `Bearer ${TOKEN}`,
      body,
    });
    return body;
  };
  const storage = Deno.serve(quiet, async (request) => {
    await note(request);
    return new Response(null);
  });
  const hub = Deno.serve(quiet, async (request) => {
    const body = await note(request);
    const { pathname } = new URL(request.url);
    const json = () => JSON.parse(new TextDecoder().decode(body));
    if (has.refuses) return Response.json({ error: "no" }, { status: 403 });
    if (pathname === "/api/repos/create") {
      return has.repository
        ? Response.json({ error: "exists" }, { status: 409 })
        : Response.json({ url: "x", id: "me/it" });
    }
    if (pathname.includes("/preupload/")) {
      const files = json().files.map(({ path }: { path: string }) => ({
        path,
        uploadMode: path.endsWith(".safetensors") ? "lfs" : "regular",
      }));
      return Response.json({ files });
    }
    if (pathname.endsWith("/objects/batch")) {
      const href = `http://127.0.0.1:${storage.addr.port}/put`;
      const objects = json().objects.map((each: object) =>
        has.object ? each : { ...each, actions: { upload: { href } } }
      );
      return Response.json({ transfer: "basic", objects });
    }
    assertEquals(pathname, "/api/models/me/it/commit/main");
    return Response.json({ success: true, commitOid: "c".repeat(40), commitUrl: "", hookOutput: "" });
  });
  return {
    got,
    endpoint: `http://127.0.0.1:${hub.addr.port}`,
    [Symbol.asyncDispose]: async () => {
      await hub.shutdown();
      await storage.shutdown();
    },
  };
}

Deno.test("an adapter goes to a hub as one commit, its tensors to the storage first and without the token", async () => {
  const commit = await adapterCommit(`${root}/peft/lora`, { to: "me/it", base: "google/vit-base-patch16-224" });
  for (const repository of [false, true]) {
    for (const object of [false, true]) {
      await using hub = takingHub({ repository, object });
      const options = { endpoint: hub.endpoint, token: TOKEN, cache: "/nowhere", offline: false };
      const pushed = await push(commit, options);
      assertEquals(pushed, { commit: "c".repeat(40), page: `${hub.endpoint}/me/it` });
      assertEquals(hub.got.map(({ line }) => line), [
        "POST /api/repos/create",
        "POST /api/models/me/it/preupload/main",
        "POST /me/it.git/info/lfs/objects/batch",
        ...object ? [] : ["PUT /put"],
        "POST /api/models/me/it/commit/main",
      ]);
      assert(hub.got.every(({ line, authorised }) => authorised === !line.startsWith("PUT")));
      const [header, ...entries] = new TextDecoder().decode(hub.got.at(-1)!.body).trim().split("\n").map((each) =>
        JSON.parse(each)
      );
      assertEquals(header.value.summary, "Adapter lora of google/vit-base-patch16-224");
      const weights = commit.files.find(({ path }) => path.endsWith(".safetensors"))!;
      const sent = new Map(entries.map(({ key, value }) => [value.path, { key, ...value }]));
      assertEquals([...sent.keys()].sort(), commit.files.map(({ path }) => path).sort());
      const large = sent.get(weights.path);
      assertEquals([large.key, large.oid, large.size], ["lfsFile", sha256(weights.bytes), weights.bytes.length]);
      if (!object) assertEquals(hub.got.find(({ line }) => line === "PUT /put")!.body, new Uint8Array(weights.bytes));
      for (const { path, bytes } of commit.files) {
        if (path !== weights.path) assertEquals(atob(sent.get(path).content), String.fromCharCode(...bytes));
      }
    }
  }
});

Deno.test("a refusal says what is missing, and never the token", async () => {
  const commit = await adapterCommit(`${root}/peft/lora`, { to: "me/it", base: "some/vit" });
  await using hub = takingHub({ refuses: true });
  const options = { endpoint: hub.endpoint, token: TOKEN, cache: "/nowhere", offline: false };
  const error = await assertRejects(() => push(commit, options), OneloraError, "no permission to write");
  assert(!`${error.message}${error.stack}`.includes(TOKEN));
  await assertRejects(() => push(commit, { ...options, offline: true }), OneloraError, "HF_HUB_OFFLINE");
  // Whoever runs this may have a token of his own, which this hub does not take either.
  await assertRejects(() => push(commit, { ...options, token: undefined }), OneloraError, "HF_TOKEN=TOKEN");
});

Deno.test("a run's page says what was trained, on what, how well, and how to load it; no path of this machine goes along", async () => {
  await inFolder(async (folder) => {
    await useBackend("wasm");
    const run = `${folder}/run`;
    (await fineTune({ model: "vit-micro", data, adapter: "1lora", steps: 2, out: run }))[Symbol.dispose]();
    const { files } = await adapterCommit(run, { to: "hf:me/it" });
    const textOf = (path: string) => new TextDecoder().decode(files.find((each) => each.path === path)!.bytes);
    const [, front, body] = /^---\n(.*?)---\n(.*)$/s.exec(textOf("README.md"))!;
    const { tags, library_name, pipeline_tag, "model-index": index } = parse(front);
    assertEquals([tags, library_name, pipeline_tag], [["onelora", "1lora", "head"], "peft", "image-classification"]);
    assertEquals(index[0].results[0].metrics[0].type, "accuracy");
    for (
      const part of ["# it", "`vit-micro` of onelora", "4,608", "18 train, 2 test", "dark, light", "lr", "peft import"]
    ) {
      assertStringIncludes(body, part);
    }
    assert(files.every(({ path }) => path.endsWith(".safetensors") || !textOf(path).includes(folder)), folder);
  });
});

Deno.test("a base on the hub is named as PEFT finds it; one on this machine alone needs a name", async () => {
  await inFolder(async (folder) => {
    for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
      await Deno.copyFile(`${root}/peft/lora/${name}`, `${folder}/${name}`);
    }
    const set = async (base: string) => {
      const config = JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
      await Deno.writeTextFile(
        `${folder}/adapter_config.json`,
        JSON.stringify({ ...config, base_model_name_or_path: base }),
      );
    };
    const sent = async () => {
      const { files } = await adapterCommit(folder, { to: "me/it" });
      const { base_model_name_or_path, revision } = JSON.parse(
        new TextDecoder().decode(files.find(({ path }) => path === "adapter_config.json")!.bytes),
      );
      return [base_model_name_or_path, revision];
    };
    const commit = "4".repeat(40);
    await set(`hf:some/model@${commit}`);
    assertEquals(await sent(), ["some/model", commit]);
    await set("some/model");
    assertEquals((await sent())[0], "some/model");
    for (const local of ["/home/me/model", "./model", "model", "a/b/c"]) {
      await set(local);
      await assertRejects(sent, OneloraError, "`base: ORG/NAME`");
    }
  });
});

Deno.test("push prints with --dry-run, and takes the adapter with or without its flag", async () => {
  const adapter = `${root}/peft/lora`;
  const arguments_ = ["--to", "me/it", "--base", "some/vit"];
  const printed = await output("push", adapter, ...arguments_, "--dry-run");
  const weights = await Deno.readFile(`${adapter}/adapter_model.safetensors`);
  assertMatch(printed, new RegExp(`adapter_model.safetensors  ${weights.length} bytes  sha256 ${sha256(weights)}`));
  assertStringIncludes(printed, 'PeftModel.from_pretrained(base, "me/it")');
  assertStringIncludes(printed, "base_model: some/vit");
  assertEquals(await failure("push", adapter, adapter, "--to", "me/it").then(([code]) => code), 2);
  assertEquals(await failure("push", adapter, "--to", "nowhere"), [
    2,
    "choosing a repository: found nowhere; allowed: ORG/NAME",
  ]);
});

Deno.test("a pushed adapter opens here again", async () => {
  await inFolder(async (folder) => {
    await useBackend("cpu");
    const { files } = await adapterCommit(`${root}/peft-products/miss-5`, { to: "me/it", base: "some/vit" });
    for (const { path, bytes } of files) await Deno.writeFile(`${folder}/${path}`, bytes);
    const { params } = await openTrained(`${root}/vit-rgb`, { adapter: folder, key: key(0) });
    dispose(params as Record<string, Tensor>);
    // Its base is looked for on the hub.
    const hub = { offline: true, cache: folder, endpoint: "http://127.0.0.1:1" };
    await assertRejects(() => load(folder, { hub }), OneloraError, "hf:some/vit@main");
  });
});

Deno.test("what a run's names have of Markdown's signs stays text on its page", async () => {
  const { parse: html } = await import("marked");
  const names = ["a|b", "c\\d", "*e*", "_f_ <b>g</b>", "h\r\ni", "j\rk", "`l`", "[m](n)", "&amp;", "~~o~~", "$p$"];
  const facts = {
    repository: "me/it",
    base: { name: "vit-micro", isOnHub: false },
    method: "lora",
    run: {
      data: "folder:pictures",
      examples: { train: 2 },
      classes: names,
      parameters: { adapter: 1, head: 1, total: 2 },
      steps: 1,
      metrics: Object.fromEntries(names.map((name, i) => [name, i])),
      settings: { labels: names.join(" ") },
    },
  };
  const page = await html(cardText(facts));
  const shown = (text: string) =>
    text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\r\n?|\n/g, "<br>");
  assertStringIncludes(page, names.map(shown).join(", "));
  assertStringIncludes(page, `<td>${shown(names.join(" "))}</td>`);
  names.forEach((name, i) => assertStringIncludes(page, `<tr>\n<td>${shown(name)}</td>\n<td>${i}</td>\n</tr>`));
});
