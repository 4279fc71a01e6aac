import { assertEquals } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import {
  type HostTensor,
  openSafetensors,
  toBfloat16,
  toFloat16,
  toFloat32,
  writeSafetensors,
} from "../../dsl/safetensors/mod.ts";
import { bytesOf, readAll } from "../support/safetensors_craft.ts";
import { inFolder } from "../support/data_folder.ts";

// Made by scripts/tools/reference/safetensors_files.py with Python's safetensors, torch and huggingface_hub.
const fixtures = fileOf(new URL("../fixtures/safetensors", import.meta.url));

interface Described {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly string[];
}

/** The expected tensors of values.json. */
async function expected(part: string): Promise<Readonly<Record<string, Described>>> {
  return JSON.parse(await Deno.readTextFile(`${fixtures}/values.json`))[part];
}

/** The numbers of a tensor, exactly. */
function numbers(host: HostTensor): readonly (number | bigint)[] {
  return host.dtype === "F16" || host.dtype === "BF16" ? [...toFloat32(host)] : [...host.data];
}

for (const [part, path] of [["every_type", "every_type.safetensors"], ["sharded", "sharded"]]) {
  Deno.test(`the reference implementation's ${path} is read exactly`, async () => {
    const tensors = await readAll(`${fixtures}/${path}`);
    const wanted = await expected(part);
    assertEquals(Object.keys(tensors).sort(), Object.keys(wanted).sort());
    for (const [name, { dtype, shape, values }] of Object.entries(wanted)) {
      assertEquals([tensors[name].dtype, tensors[name].shape], [dtype, shape], name);
      assertEquals(numbers(tensors[name]), values.map<number | bigint>(/^[IU]64$/.test(dtype) ? BigInt : Number), name);
    }
  });
}

Deno.test("the reference implementation's sharded folder gives names in file order, places and merged metadata", async () => {
  await using checkpoint = await openSafetensors(`${fixtures}/sharded/model.safetensors.index.json`);
  const weights = [0, 1, 2, 3, 4].map((i) => `layer.${i}.weight`);
  assertEquals(checkpoint.names, [...weights, "layer.0.bias"]);
  assertEquals(checkpoint.metadata, { format: "pt" });
  const file = `${fixtures}/sharded/model-00003-of-00003.safetensors`;
  assertEquals(checkpoint.info("layer.0.bias"), { dtype: "BF16", shape: [8], bytes: 16, file });
});

for (const [name, options] of [["every_type", { metadata: { format: "pt" } }], ["conversions", {}]] as const) {
  Deno.test(`writing what was read from ${name} gives the reference implementation's bytes, whatever the order`, () =>
    inFolder(async (folder) => {
      const path = `${folder}/again.safetensors`;
      const reference = `${fixtures}/${name}.safetensors`;
      const tensors = Object.entries(await readAll(reference));
      await writeSafetensors(path, tensors.reverse(), options);
      assertEquals(await Deno.readFile(path), await Deno.readFile(reference));
    }));
}

Deno.test("32-bit floats become torch's 16-bit floats, bit for bit", async () => {
  const { F32, F16, BF16 } = await readAll(`${fixtures}/conversions.safetensors`);
  assertEquals(toFloat16(toFloat32(F32)), F16.data);
  assertEquals(toBfloat16(toFloat32(F32)), BF16.data);
  assertEquals(bytesOf(F32).length, 4 * F16.data.length);
});
