import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { openSafetensors, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import { order } from "../../scripts/commands/sweep/rows.ts";
import { readSummary } from "../../scripts/commands/sweep/folder.ts";
import type { Progress } from "../../tasks/mod.ts";
import { writeRunJson } from "../../tasks/fine_tune/folder.ts";
import { readRunFolder } from "../../tasks/report/folder.ts";
import { writeReport } from "../../tasks/report/report.ts";
import { atStart, evaluated, isBetter, stepped } from "../../tasks/trainer/progress.ts";
import { hasCheckpoint, loadCheckpoint, saveCheckpoint } from "../../tasks/trainer/checkpoint.ts";
import { openLog } from "../../tasks/trainer/log.ts";
import { isWindows } from "../support/system.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
await useBackend("cpu");
const moving = { trained: { b: tf.tensor1d([1, 2]) }, optimiser: { count: tf.scalar(3) } };
const free = (read: object) => tf.dispose(read as tf.TensorContainer);

Deno.test("what is not finite is never best, whichever way is better, and patience counts it", () => {
  for (const better of ["higher", "lower"] as const) {
    for (const value of [NaN, Infinity, -Infinity]) {
      assertEquals(isBetter(value, undefined, better), false);
      assertEquals(isBetter(value, 0.5, better), false);
    }
    assertEquals(isBetter(1, undefined, better), true);
    // The first of equals stays the best.
    assertEquals(isBetter(0.5, 0.5, better), false);
  }
  const deciding = { metric: "loss", better: "lower" } as const;
  let progress: Progress = stepped(atStart, { epoch: 0, offset: 4 }, 1);
  const seen = [NaN, 0.5, NaN, 0.6, 0.4].map((loss) => {
    const [next, isBest] = evaluated(progress, { loss }, deciding);
    progress = next;
    return [isBest, progress.best?.value, progress.since];
  });
  assertEquals(seen, [
    [false, undefined, 1],
    [true, 0.5, 0],
    [false, 0.5, 1],
    [false, 0.5, 2],
    [true, 0.4, 0],
  ]);
});

Deno.test("numbers that JSON does not have survive checkpoints and logs", async () => {
  const path = `${folder}/numbers.safetensors`;
  const progress = { ...atStart, step: 2, metrics: { loss: NaN, perplexity: Infinity, least: -Infinity } };
  await saveCheckpoint(path, moving, progress, { lr: 0.1 });
  const { progress: found, ...read } = await loadCheckpoint(path, moving, { lr: 0.1 });
  assertEquals(found, progress);
  free(read);
  const record = { step: 1, loss: 1, evaluation: { rmse: NaN, absRel: Infinity } };
  {
    using log = openLog(`${folder}/metrics.jsonl`, 0);
    log.write(record);
  }
  using again = openLog(`${folder}/metrics.jsonl`, 1);
  assertEquals(again.kept, [record]);
});

Deno.test("and summaries, for reports and tables too, where they are never the best", async () => {
  const run = `${folder}/run`;
  const summary = {
    deciding: { metric: "rmse", better: "lower" },
    parameters: { adapter: 1, head: 0, total: 9 },
    metrics: { rmse: NaN, absRel: Infinity, delta1: -Infinity, log10: 0.5 },
    steps: 2,
    seconds: 1,
  };
  await writeRunJson(run, "config.json", { model: "m", data: "d", adapter: "1lora" });
  await writeRunJson(run, "summary.json", summary);
  await Deno.writeTextFile(
    `${run}/metrics.jsonl`,
    '{"step":1,"loss":"NaN","evaluation":{"rmse":"Infinity"}}\n{"step":2,"loss":3,"evaluation":{"rmse":"NaN"}}\n',
  );
  assertEquals(await readSummary(run) as unknown, summary);
  const read = await readRunFolder(run);
  assertEquals(read.summary as unknown, summary);
  assertEquals(read.records.map(({ evaluation }) => evaluation), [{ rmse: Infinity }, { rmse: NaN }]);
  await writeReport(run);
  const page = await Deno.readTextFile(`${run}/report.html`);
  assertMatch(page, /RMSE, m<\/th><td[^>]*>NaN/);
  assertEquals(/<svg[^]*NaN[^]*<\/svg>/.test(page), false);
  assertEquals([NaN, 3, Infinity, 1].toSorted(order("lower")), [1, 3, NaN, Infinity]);
  assertEquals([NaN, 3, -Infinity, 1].toSorted(order("higher")), [3, 1, NaN, -Infinity]);
});

Deno.test("checkpoints that are another's, impossible or unreadable are refused by what is wrong", async () => {
  const path = `${folder}/mine.safetensors`;
  const identity = { lr: 0.1, classes: ["cat", "dog"], own: { augment: true } };
  await saveCheckpoint(path, moving, { ...atStart, step: 3 }, identity);
  const refused = async (wanted: Record<string, unknown>, part: string, file = path) => {
    await assertRejects(() => loadCheckpoint(file, moving, wanted), OneloraError, part);
  };
  free(await loadCheckpoint(path, moving, { own: { augment: true }, classes: ["cat", "dog"], lr: 0.1 }));
  await refused({ ...identity, lr: 0.2 }, "another run's: lr 0.1, not 0.2");
  await refused({ ...identity, classes: ["dog", "cat"] }, 'classes ["cat","dog"], not ["dog","cat"]');
  await refused({ ...identity, seed: 1 }, "seed undefined, not 1");

  for (
    const [progress, part] of [
      [{ step: -1 }, "an impossible step"],
      [{ step: 2.5 }, "an impossible step"],
      [{ step: 3, position: { epoch: -1, offset: 0 } }, "an impossible epoch"],
      [{ step: 3, seconds: NaN }, "an impossible seconds"],
      [{ step: 3, best: { value: NaN, step: 1 } }, "an impossible best"],
      [{ step: 3, best: { value: 1, step: 4 } }, "an impossible best"],
      [{ step: 3, since: -2 }, "an impossible since"],
    ] as const
  ) {
    await saveCheckpoint(`${folder}/odd.safetensors`, moving, { ...atStart, ...progress }, identity);
    await refused(identity, part, `${folder}/odd.safetensors`);
  }
  {
    await using file = await openSafetensors(path);
    const tensors = await Promise.all(file.names.map(async (name) => [name, await file.read(name)] as const));
    await writeSafetensors(`${folder}/plain.safetensors`, tensors, { metadata: { progress: file.metadata.progress } });
  }
  await refused(identity, "no word of whose it is", `${folder}/plain.safetensors`);

  assertEquals([await hasCheckpoint(path), await hasCheckpoint(`${folder}/none`)], [true, false]);
  await assertRejects(() => hasCheckpoint(folder), OneloraError, "found a folder");
  if (!isWindows) await assertRejects(() => hasCheckpoint(`${path}/below`), OneloraError, "resuming from");
  await Deno.symlink(path, `${folder}/link`);
  await assertRejects(() => hasCheckpoint(`${folder}/link`), OneloraError, "found a link");
});
