/**
 * The pages of docs/ run as they are written: every command is one that there is, with flags that it has; `chat.md` is carried
 * out from an empty folder to a GGUF file, and of each task's page what is cheap, with fewer steps.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isLeft } from "fp-ts/Either";
import { splitArguments } from "../scripts/cli/parse.ts";
import { boolean, type Flag, text } from "../scripts/cli/flags.ts";
import { useBackend } from "../dsl/mod.ts";
import { output, runTask } from "./support/command.ts";
import { writeSmallChat } from "../scripts/tools/small_chat.ts";
import { inFolder } from "./support/data_folder.ts";

const textOf = (page: string) => Deno.readTextFile(`docs/${page}.md`);

/** The blocks of a page in a language. */
function blocks(markdown: string, language: string): readonly string[] {
  return [...markdown.matchAll(new RegExp(`^ *\`\`\`${language}\\n(.*?)^ *\`\`\``, "gms"))].map(([, block]) => block);
}

/** The commands in blocks for a shell: task and arguments. */
function commands(shell: readonly string[]): readonly (readonly string[])[] {
  const lines = shell.flatMap((block) => block.split("\n")).map((line) => line.replace(/\s+#.*$/, "").trim());
  return lines.filter((line) => line !== "").map((line) => {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
    assertEquals(words.slice(0, 2), ["deno", "task"], line);
    return words.slice(2);
  });
}

/** The flags of a command by its help. */
async function flagsOf(task: string): Promise<Readonly<Record<string, Flag<unknown>>>> {
  const help = await output(task, "--help");
  const rows = [...help.matchAll(/^ {2}--(\[no-\])?([a-z-]+)( [A-Z][^ ]*)?(?: {2}|$)/gm)];
  const camel = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(
    rows.map(([, , name, value]) => [camel(name), value === undefined ? boolean({ help: "" }) : text({ help: "" })]),
  );
}

/** Every page: those of docs/, and those beside the code. */
async function everyPage(): Promise<readonly string[]> {
  const names = Array.fromAsync(Deno.readDir("docs"), ({ name }) => name.endsWith(".md") ? [`docs/${name}`] : []);
  return [...(await names).flat().sort(), "README.md", "RESULTS.md", "dsl/compile/README.md"];
}

/** The tasks that lines for a shell start, whatever else stands there: their names and arguments. */
function tasksIn(shell: readonly string[]): readonly (readonly string[])[] {
  const lines = shell.flatMap((block) => block.replaceAll("\\\n", " ").split("\n"));
  const starts = lines.flatMap((line) => [...line.replace(/\s+#.*$/, "").matchAll(/deno task (?:-q )?([^|&>']+)/g)]);
  // What a page leaves for its readers to fill in is no argument.
  return commands([starts.map(([, rest]) => `deno task ${rest.replaceAll("...", "").trim()}`).join("\n")]);
}

Deno.test("every command of the pages is there, with the flags that it is given", async () => {
  const { tasks: known }: { readonly tasks: Readonly<Record<string, unknown>> } = JSON.parse(
    await Deno.readTextFile("deno.json"),
  );
  const texts = await Promise.all((await everyPage()).map((page) => Deno.readTextFile(page)));
  const started = texts.flatMap((text) => tasksIn(blocks(text, "sh")));
  assertEquals(started.filter(([task]) => !Object.hasOwn(known, task)), []);
  // What is no command of the package's has no `--help`.
  const all = started.filter(([task]) => !["ok", "test", "kernels"].includes(task));
  assert(all.length > 40, `${all.length}`);
  const tasks = [...new Set(all.map(([task]) => task))];
  const flags = new Map(await Promise.all(tasks.map(async (task) => [task, await flagsOf(task)] as const)));
  for (const [task, ...args] of all) {
    const repeatable = Object.entries(flags.get(task)!).map(([name, flag]) => [name, { ...flag, repeatable: true }]);
    const read = splitArguments(Object.fromEntries(repeatable), args, task === "push" ? "adapter" : undefined);
    assert(!isLeft(read), isLeft(read) ? `deno task ${task} ${args.join(" ")}: ${read.left.message}` : "");
    for (const [name, { raw }] of read.right.written) {
      assert(flags.get(task)![name].kind === "boolean" || raw !== "", `deno task ${task} ${args.join(" ")}`);
    }
  }
});

/** Carries out commands in a folder, their places moved there. */
async function carriedOut(
  folder: string,
  lines: readonly (readonly string[])[],
  moved: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const places = Object.entries({ "runs/": `${folder}/`, ...moved });
  const outputs: string[] = [];
  for (const [task, ...args] of lines) {
    const there = args.map((arg) => places.reduce((text, [from, to]) => text.replaceAll(from, to), arg));
    const { code, out, err } = await runTask(task, ...there);
    assertEquals(code, 0, `deno task ${task} ${there.join(" ")}\n${err}`);
    outputs.push(out);
  }
  return outputs;
}

Deno.test("docs/chat.md from an empty folder: fifty chats, learned, judged, talked to, and a GGUF file", async () => {
  await inFolder(async (folder) => {
    const page = await textOf("chat");
    const [example] = blocks(page, "json");
    const chats = Array.from(
      { length: 50 },
      (_, i) => JSON.stringify(JSON.parse(example.replace("name?", `name ${i}?`))),
    );
    await Deno.writeTextFile(`${folder}/chats.jsonl`, chats.join("\n"));
    await useBackend("cpu");
    // Stands in for a model of the hub, which tests do not reach.
    await writeSmallChat(`${folder}/model`);
    const moved = {
      MODEL: `${folder}/model`,
      "chats.jsonl": `${folder}/chats.jsonl`,
      "chat.gguf": `${folder}/chat.gguf`,
    };
    const [train, evaluate, generate, exported] = await carriedOut(folder, commands(blocks(page, "sh")), moved);
    assertStringIncludes(train, "«");
    assertStringIncludes(evaluate, "perplexity");
    assert(generate.trim() !== "");
    assertStringIncludes(exported, "chat.gguf");
    const magic = (await Deno.readFile(`${folder}/chat.gguf`)).subarray(0, 4);
    assertEquals(new TextDecoder().decode(magic), "GGUF");
  });
});

/** What of each task's page is carried out besides training, and what makes that short; the first page's run finds its backend. */
const cheap: Readonly<Record<string, { readonly task: string; readonly shorter?: readonly string[] }>> = {
  "image-classification": { task: "predict" },
  depth: { task: "predict", shorter: ["--samples", "0", "--backend", "wasm"] },
  reasoning: { task: "merge", shorter: ["--samples", "0", "--backend", "wasm"] },
  generation: { task: "generate", shorter: ["--samples", "0", "--backend", "wasm"] },
};

for (const [page, { task, shorter = [] }] of Object.entries(cheap)) {
  Deno.test(`docs/${page}.md runs as it is written, with fewer steps`, async () => {
    await inFolder(async (folder) => {
      const [first] = blocks(await textOf(page), "sh");
      const [train, other] = commands([first]).filter(([name]) => name === "train" || name === task);
      assertEquals([train[0], other[0]], ["train", task]);
      const fewer = [...train.map((word) => word === "300" ? "1" : word), "--limit", "4", ...shorter];
      const used = task === "generate" ? [...other, "--steps", "2"] : other;
      const found = await carriedOut(folder, [fewer, used], { "photo.jpg": "tests/fixtures/pictures/grey.jpg" });
      assert(found.every((each) => each.trim() !== ""));
    });
  });
}
