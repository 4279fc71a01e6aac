import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { openSafetensors, writeSafetensors } from "../../dsl/mod.ts";
import { denoCommand, taskArguments, type TaskName } from "../../scripts/cli/deno.ts";
import { showTransfers } from "../../scripts/cli/fetched.ts";
import { startHub } from "../support/hub_server.ts";

const root = new URL("../../", import.meta.url);
const fixtures = fileOf(new URL("../fixtures/", import.meta.url));
const commit = "4".repeat(40);

/** Runs a task as `deno.json` has it, on a hub of this machine. */
async function runOnHub(task: TaskName, environment: Record<string, string>, ...args: readonly string[]) {
  const local = taskArguments(task).map((each) => each.startsWith("--allow-net=") ? "--allow-net=127.0.0.1" : each);
  const { code, stdout, stderr } = await new Deno.Command(await denoCommand(), {
    args: ["run", "--no-prompt", ...local, `scripts/commands/${task}.ts`, ...args],
    cwd: root,
    env: environment,
  }).output();
  const [out, err] = [stdout, stderr].map((each) => new TextDecoder().decode(each));
  return { code, out, err };
}

Deno.test("hub: forward downloads once, with a line a file, then computes the same without a network", async () => {
  await using hub = startHub({
    "some/llama": {
      branches: { main: commit },
      commits: {
        [commit]: {
          "config.json": await Deno.readFile(`${fixtures}llama-tied/config.json`),
          "model.safetensors": await Deno.readFile(`${fixtures}llama-tied/model.safetensors`),
        },
      },
    },
  });
  const folder = await Deno.makeTempDir();
  const environment = { HF_ENDPOINT: hub.endpoint, HF_HOME: folder, HF_HUB_OFFLINE: "" };
  const counted = await runOnHub("params", environment, "--model", "hf:some/llama", "--json");
  assertEquals(counted.code, 0, counted.err);
  assert(!hub.requests.some((each) => each.endsWith("model.safetensors")), "counting needs no weights");

  const args = ["--input", `${folder}/in.safetensors`, "--backend", "cpu", "--output"];
  await using expected = await openSafetensors(`${fixtures}llama-tied/expected.safetensors`);
  await writeSafetensors(`${folder}/in.safetensors`, [["input_ids", await expected.read("input_ids")]]);
  const first = await runOnHub("forward", environment, "--model", "hf:some/llama", ...args, `${folder}/1.safetensors`);
  assertEquals([first.code, first.err], [0, "downloading model.safetensors, 37.5 kB\n"]);
  const pinned = `hf:some/llama@${commit}`;
  const offline = { ...environment, HF_HUB_OFFLINE: "1" };
  const again = await runOnHub("forward", offline, "--model", pinned, ...args, `${folder}/2.safetensors`);
  assertEquals([again.code, again.err], [0, ""]);
  assertEquals(await Deno.readFile(`${folder}/1.safetensors`), await Deno.readFile(`${folder}/2.safetensors`));
  const wrong = await runOnHub("forward", environment, "--model", "hf:no/such", ...args, `${folder}/3.safetensors`);
  assertEquals(wrong.code, 1);
  assertStringIncludes(wrong.err, "error: finding hf:no/such@main: found no such repository");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("transfers are shown as a growing line on a terminal, elsewhere as a line a file", () => {
  const shown = (isTerminal: boolean) => {
    const written: string[] = [];
    let time = 0;
    const show = showTransfers({ isTerminal, write: (text) => written.push(text), now: () => time += 60 });
    for (const bytes of [0, 250, 500, 750, 1000]) show({ file: "a", bytes, total: 1000 });
    show({ file: "b", bytes: 500, total: 2000 });
    return written;
  };
  assertEquals(shown(false), ["downloading a, 1.00 kB\n", "downloading b, 2.00 kB, from 500 B on\n"]);
  const line = (text: string) => `\r\x1b[Kdownloading ${text}`;
  assertEquals(shown(true).filter((each) => each.endsWith("\n")), [line("a, 1.00 kB: 100 %\n")]);
  assertEquals(shown(true).at(0), line("a, 1.00 kB: 0 %"));
  assertEquals(shown(true).at(-1), line("b, 2.00 kB: 25 %"));
});
