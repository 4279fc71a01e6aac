import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { failure, output } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
const secret = `${folder}/secret.txt`;
await Deno.writeTextFile(secret, "what nobody may see");

/** A folder of files by path. */
async function made(name: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const root = `${folder}/${name}`;
  for (const [path, content] of Object.entries(files)) {
    const at = `${root}/${path}`;
    await Deno.mkdir(at.slice(0, at.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(at, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }
  return root;
}

/** A command that fails in one line, which shows no secret and moves no cursor. */
async function refused(part: string, task: string, ...args: readonly string[]): Promise<void> {
  const [code, line] = await failure(task, ...args);
  assert(code === 1 || code === 2, `${code}`);
  assertStringIncludes(line, part);
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u001f\u007f-\u009f]/.test(line) && !line.includes("nobody may see"), line);
  assert(!line.startsWith("unexpected"), line);
}

const model = "tests/fixtures/vit-rgb";
const judged = ["--data", "mnist", "--backend", "wasm"];
const train = ["--model", model, "--backend", "wasm", "--steps", "1", "--out", `${folder}/run`];

Deno.test("a hostile data folder: nothing outside is read, nothing but a line is said", async () => {
  const png = await Deno.readFile("tests/fixtures/pictures/grey.png");
  for (const name of ["../../secret.txt", "/etc/passwd", "C:\\\\a.png", "a/../../secret.txt"]) {
    const rows = `{"file_name":"${name}","label":"a"}\n{"file_name":"b.png","label":"b"}\n`;
    const root = await made(`metadata-${name.length}`, { "metadata.jsonl": rows, "b.png": png });
    await refused("outside of the folder", "train", ...train, "--data", `images:${root}`);
  }
  const food = await made("food", {
    "meta/classes.txt": "cake\n",
    "meta/train.txt": "cake/../../../secret\n",
    "meta/test.txt": "cake/1\n",
  });
  await refused("train.txt, line 1", "train", ...train, "--data", `food101:${food}`);
  const escapes = await made("escapes", {
    "meta/classes.txt": "\u001b]0;owned\u0007\u001b[2J\n",
    "meta/train.txt": "x\n",
  });
  await refused("line 1", "train", ...train, "--data", `food101:${escapes}`);
  const endless = await made("endless", { "test_batch.bin": "x" });
  await Deno.symlink("/dev/zero", `${endless}/data_batch_1.bin`);
  await refused("endless", "train", ...train, "--data", `cifar10:${endless}`);
  const linked = await made("linked", { "test_batch.bin": "x" });
  await Deno.symlink(secret, `${linked}/data_batch_1.bin`);
  await refused("linked", "train", ...train, "--data", `cifar10:${linked}`);
});

Deno.test("a hostile model folder: nothing outside is read, nothing but a line is said", async () => {
  const config = JSON.parse(await Deno.readTextFile(`${model}/config.json`));
  const weights = await Deno.readFile(`${model}/model.safetensors`);
  const index = (shard: string) => JSON.stringify({ weight_map: { "classifier.bias": shard } });
  for (const [i, shard] of ["../secret.txt", secret, "a\u001b[2Jb", "..", "a/b"].entries()) {
    const root = await made(`shards-${i}`, {
      "config.json": JSON.stringify(config),
      "model.safetensors.index.json": index(shard),
    });
    await refused("the name of a file in the index file's folder", "evaluate", "--model", root, ...judged);
  }
  for (const name of ["config.json", "model.safetensors"]) {
    // Links are followed, as caches of models are made of them; what has no end is not.
    for (const target of name === "config.json" ? ["/dev/zero"] : [secret, "/dev/zero"]) {
      const files = { "config.json": JSON.stringify(config), "model.safetensors": weights };
      const root = await made(`linked-${name}-${target.length}`, files);
      await Deno.remove(`${root}/${name}`);
      await Deno.symlink(target, `${root}/${name}`);
      await refused("found", "evaluate", "--model", root, ...judged);
    }
  }
  const named = await made("named", {
    "config.json": JSON.stringify({ ...config, model_type: "\u001b[31mvit\r\nerror: all is well" }),
    "model.safetensors": weights,
  });
  await refused("\\u001b[31mvit", "params", "--model", named);
});

Deno.test("names of classes move no cursor", async () => {
  const config = JSON.parse(await Deno.readTextFile(`${model}/config.json`));
  const id2label = Object.fromEntries(Object.keys(config.id2label).map((id) => [id, `\u001b[2J\u202e${id}`]));
  const root = await made("labels", {
    "config.json": JSON.stringify({ ...config, id2label }),
    "model.safetensors": await Deno.readFile(`${model}/model.safetensors`),
  });
  const image = "tests/fixtures/pictures/grey.png";
  const shown = await output("predict", "--model", root, "--image", image, "--backend", "wasm");
  assertStringIncludes(shown, "\\u001b[2J\\u202e");
  assertEquals(["\u001b", "\u202e"].filter((each) => shown.includes(each)), []);
});
