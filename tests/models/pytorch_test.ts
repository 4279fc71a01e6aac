import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { key, OneloraError, openSafetensors, type Params } from "../../dsl/mod.ts";
import { bits, fold } from "../../dsl/random.ts";
import { loadParams, openCheckpoint, openModel, openPytorch } from "../../models/mod.ts";
import { withoutLeaks } from "../support/compare.ts";

const fixtures = fileOf(new URL("../fixtures/", import.meta.url));
const folder = `${fixtures}pytorch`;

/** The one line that reading every tensor of a file ends in. */
async function refusal(path: string): Promise<string> {
  const read = async () => {
    await using checkpoint = await openPytorch(path);
    for (const name of checkpoint.names) await checkpoint.read(name);
  };
  const { message } = await assertRejects(read, OneloraError);
  assert(!message.includes("\n") && message.length < 600, message);
  return message;
}

for (
  const name of [
    "types.pt",
    "types-legacy.pt",
    "types-protocol-4.pt",
    "sharded",
    "sharded/pytorch_model.bin.index.json",
  ]
) {
  Deno.test(`pytorch: ${name} holds what safetensors hold: every type, views, shared storages`, async () => {
    await using expected = await openSafetensors(`${folder}/types.safetensors`);
    await using found = await openCheckpoint(`${folder}/${name}`);
    assertEquals([...found.names].sort(), [...expected.names].sort());
    for (const each of expected.names) {
      const { file: _, ...info } = expected.info(each);
      assertEquals({ ...found.info(each), file: undefined }, { ...info, file: undefined }, each);
      assertEquals(await found.read(each), await expected.read(each), each);
    }
    await assertRejects(() => found.read("F31"), OneloraError, 'no tensor "F31"; allowed: one of its tensors, e.g. "F');
  });
}

/** Asserts that two trees hold the same bytes. */
function assertSame(found: Params, expected: Params): void {
  assertEquals(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const path of Object.keys(expected)) {
    assertEquals(found[path].shape, expected[path].shape, path);
    assertEquals(found[path].dataSync(), expected[path].dataSync(), path);
  }
}

Deno.test("pytorch: a training run's DiT file gives its moving average, equal to the safetensors folder", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const original = await loadParams(await openModel(`${folder}/dit-original`), key(0));
    const published = await loadParams(await openModel(`${folder}/dit-published`), key(0));
    assertEquals([original.part, published.part], ["ema", undefined]);
    assertEquals(original.initialised, []);
    assertSame(original.params, published.params);
  });
});

Deno.test("pytorch: Depth Anything's metric file of several GPUs, bins on top, equals the published folder", async () => {
  await useBackend("cpu");
  const own = await Deno.makeTempDir();
  await Deno.copyFile(`${fixtures}depth-metric/config.json`, `${own}/config.json`);
  await Deno.copyFile(`${folder}/depth-original.pth`, `${own}/depth_anything_metric_depth_indoor.pt`);
  await withoutLeaks(async () => {
    for (const qkv of ["fused", "split"] as const) {
      const original = await loadParams(await openModel(own, { qkv }), key(0));
      const published = await loadParams(await openModel(`${fixtures}depth-metric`, { qkv }), key(0));
      assertEquals([original.part, original.initialised], ["model", []]);
      assertStringIncludes(original.unused ?? "", "ZoeDepth's metric bins");
      assertEquals(published.unused, undefined);
      assertSame(original.params, published.params);
    }
  });
  await Deno.remove(own, { recursive: true });
});

Deno.test("pytorch: a preset takes weights of one's own, and says which tensor does not fit", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const shipped = fileOf(new URL("../../models/weights/vit-micro/model.safetensors", import.meta.url));
    const given = await loadParams(await openModel(`vit-micro=${shipped}`, { labels: ["one", "two"] }), key(0));
    const known = await loadParams(await openModel("vit-micro", { labels: ["one", "two"] }), key(0));
    assertEquals(given.initialised, ["classifier.weight", "classifier.bias"]);
    assertSame(given.params, known.params);
    const wrong = await openModel(`dit-s-2=${folder}/dit-original/weights.pth`);
    assertEquals([wrong.family, wrong.folder], ["dit", `${folder}/dit-original/weights.pth`]);
    await assertRejects(() => loadParams(wrong, key(0)), OneloraError, "shape [12,1,2,2]; allowed: shape [384,4,2,2]");
  });
  const meant = async (file: string) => (await assertRejects(() => openModel(file), OneloraError)).message;
  assertStringIncludes(await meant("weights.pth"), 'did you mean "PRESET=weights.pth"?');
  const shipped = fileOf(new URL("../../models/weights/vit-micro/model.safetensors", import.meta.url));
  assertStringIncludes(await meant(shipped), `no config.json there (did you mean "vit-micro=${shipped}"?)`);
});

const hostile: Readonly<Record<string, string>> = {
  "command": 'found the name "posix.system" at byte ',
  "module": 'found the name "torch.nn.modules.linear.Linear" at byte ',
  "bare-command": "found neither a zip archive nor a pickle",
  "big-endian": 'found byte order "big"; allowed: little',
  "short-storage": 'tensor "weight": found storage "0" of 8 bytes',
  "compressed": "compressed or encrypted; allowed: members that are neither",
  "truncated": "allowed: a whole zip archive",
  "huge-shape": "found a tensor of shape [2147483647]",
  "stride-zero": "found a tensor of shape [2147483647], stride [0]",
  "negative-stride": "found a tensor without storage, offset, shape and stride",
  "doubling": "found no dict",
  "memo": "found memo 255, which is empty at byte 10",
  "itself": "found a dict of 1 entries",
  "long-text": "found data of 4611686018427388000 bytes where 2 are left at byte 2",
  "long-number": "found a whole number of 2147483647 bytes at byte 2",
  "empty": "found data of 1 bytes where 0 are left at byte 0",
  "dup": "found the operation DUP at byte 3",
  "old-protocol": "found the operation DICT at byte 1",
};

for (const [name, line] of Object.entries(hostile)) {
  Deno.test(`pytorch: hostile-${name}.pt is refused in one line and runs nothing`, async () => {
    assertStringIncludes(await refusal(`${folder}/hostile-${name}.pt`), line);
  });
}

Deno.test("pytorch: endless work and deep nesting are refused, not tried", async () => {
  const path = await Deno.makeTempFile({ suffix: ".pt" });
  const magic = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
  const after = (text: string) => Uint8Array.from([...magic, ...new TextEncoder().encode(text)]);
  await Deno.writeFile(path, after("N0".repeat(2 ** 20 + 8)));
  assertStringIncludes(await refusal(path), "more than 2097152 operations");
  await Deno.writeFile(path, after(`${"]".repeat(3e5)}${"a".repeat(3e5 - 1)}.`));
  assertStringIncludes(await refusal(path), "data of 1 bytes where 0 are left");
  await Deno.remove(path);
});

/** A file with a few bytes flipped, cut off, put in or doubled, most of them where the pickle lies. */
function mutate(bytes: Uint8Array<ArrayBuffer>, index: number): Uint8Array<ArrayBuffer> {
  const words = bits(fold(key(2026), index), 8);
  const at = words[0] % (words[1] % 4 === 0 ? bytes.length : Math.min(bytes.length, 3000));
  const [count, kind] = [1 + words[3] % 12, words[2] % 6];
  if (kind === 0) return bytes.slice(0, at);
  if (kind === 1) return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + count)]);
  if (kind === 2) return Uint8Array.from([...bytes.subarray(0, at + count), ...bytes.subarray(at)]);
  const changed = bytes.slice();
  for (let i = 0; i < (kind === 3 ? 1 : count); i++) {
    changed[(at + i * 7) % bytes.length] = words[4 + i % 4] >>> (i % 24);
  }
  if (kind === 5) changed.set([0xff, 0xff, 0xff, 0x7f], Math.max(0, at - 4));
  return changed;
}

for (const name of ["types.pt", "types-legacy.pt", "types-protocol-4.pt", "plain.pt"]) {
  Deno.test(`pytorch: 300 damaged copies of ${name} are read or refused with an OneloraError, nothing else`, async () => {
    const whole = await Deno.readFile(`${folder}/${name}`);
    const path = await Deno.makeTempFile({ suffix: ".pt" });
    let refused = 0;
    for (let index = 0; index < 300; index++) {
      await Deno.writeFile(path, mutate(whole, index));
      try {
        await using checkpoint = await openPytorch(path);
        for (const each of checkpoint.names) {
          const { shape, data } = await checkpoint.read(each);
          assertEquals(data.length, shape.reduce((product, length) => product * length, 1));
        }
      } catch (error) {
        assertInstanceOf(error, OneloraError, `file ${index}: ${error instanceof Error ? error.stack : error}`);
        assert(!error.message.includes("\n"), error.message);
        refused++;
      }
    }
    assert(refused > 100 && refused < 300, `${refused} refused`);
    await Deno.remove(path);
  });
}
