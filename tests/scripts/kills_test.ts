import { assert, assertEquals } from "@std/assert";
import { chances } from "../../scripts/tools/fuzz/mutate.ts";
import { killed, noKills, undisturbed } from "../../scripts/tools/kills/cases.ts";
import { differences } from "../../scripts/tools/kills/same.ts";

Deno.test("runs killed at any moment go on to the bytes of one that was not", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const job = { task: "image-classification", backend: "wasm" };
    const whole = await undisturbed(job, `${folder}/whole`);
    const tally = noKills();
    // A seed of its own: `deno task kills` tries many more, of every task.
    const chance = chances(5);
    const sum = () => Object.values(tally.kills).reduce((all, count) => all + count, 0);
    for (let i = 0; sum() < 3 && i < 5; i++) await killed(job, whole, `${folder}/${i}`, chance, tally, 3 - sum());
    assertEquals(tally.faults, []);
    assert(sum() >= 3, `${sum()} kills`);

    // What is compared tells runs apart.
    const log = await Deno.readTextFile(`${folder}/0/metrics.jsonl`);
    await Deno.writeTextFile(`${folder}/0/metrics.jsonl`, log.replace('"step":2', '"step":7'));
    const checkpoint = await Deno.readFile(`${folder}/0/checkpoint/last.safetensors`);
    checkpoint[checkpoint.length - 3] ^= 1;
    await Deno.writeFile(`${folder}/0/checkpoint/last.safetensors`, checkpoint);
    await Deno.remove(`${folder}/0/summary.json`);
    assertEquals((await differences(`${folder}/0`, whole.folder)).toSorted(), [
      "checkpoint/last.safetensors",
      "metrics.jsonl",
      "summary.json (only one has it)",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
