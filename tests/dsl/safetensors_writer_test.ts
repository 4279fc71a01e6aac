import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import safetensors from "safetensors";
import { OneloraError } from "../../dsl/error.ts";
import {
  type DType,
  dtypes,
  type HostTensor,
  itemSize,
  type NamedSource,
  openSafetensors,
  writeSafetensors,
} from "../../dsl/safetensors/mod.ts";
import { hostArray } from "../../dsl/safetensors/dtype.ts";
import { bytesOf, readAll } from "../support/safetensors_craft.ts";
import { inFolder } from "../support/data_folder.ts";

const weight: HostTensor = { dtype: "F32", shape: [2, 2], data: Float32Array.of(1, -2, 3.5, Infinity) };
const bias: HostTensor = { dtype: "BF16", shape: [1], data: Uint16Array.of(0x3f80) };

/** Six elements of a type, every byte different (0 and 1 for BOOL). */
function sample(dtype: DType): HostTensor {
  const bytes = Uint8Array.from({ length: 6 * itemSize(dtype) }, (_, i) => dtype === "BOOL" ? i % 2 : 37 * i + 129);
  return { dtype, shape: [2, 3], data: hostArray(dtype, bytes.buffer) };
}

/** The error line of writing, after checking that no file but `before` is left. */
async function refusal(
  folder: string,
  entries: Iterable<NamedSource> | AsyncIterable<NamedSource>,
  metadata?: Readonly<Record<string, string>>,
): Promise<string> {
  const before = await Array.fromAsync(Deno.readDir(folder));
  const error = await assertRejects(
    () => writeSafetensors(`${folder}/x.safetensors`, entries, { metadata }),
    OneloraError,
  );
  assertEquals(await Array.fromAsync(Deno.readDir(folder)), before);
  assert(!error.message.includes("\n"), error.message);
  return error.message;
}

for (const dtype of dtypes) {
  Deno.test(`${dtype} tensors come back as they were written: matrix, scalar, empty`, () =>
    inFolder(async (folder) => {
      const scalar: HostTensor = { dtype, shape: [], data: sample(dtype).data.slice(0, 1) };
      const empty: HostTensor = { dtype, shape: [3, 0], data: sample(dtype).data.slice(0, 0) };
      const tensors = { empty, matrix: sample(dtype), scalar };
      const path = `${folder}/model.safetensors`;
      await writeSafetensors(path, Object.entries(tensors));
      const read = await readAll(path);
      assertEquals(Object.keys(read), ["empty", "matrix", "scalar"]);
      for (const [name, tensor] of Object.entries(tensors)) {
        assertEquals([read[name].dtype, read[name].shape], [dtype, tensor.shape]);
        assertEquals(read[name].data.constructor, tensor.data.constructor);
        assertEquals(bytesOf(read[name]), bytesOf(tensor));
      }
    }));
}

Deno.test("the bytes are those of the format: padded header, metadata first, widest type first, then names", () =>
  inFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    const mask: HostTensor = { dtype: "BOOL", shape: [], data: Uint8Array.of(1) };
    await writeSafetensors(path, [["b", mask], ["10", weight], ["a", bias], ["9", weight]], {
      metadata: { z: "\n", a: "é" },
    });
    const bytes = await Deno.readFile(path);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = new TextDecoder().decode(bytes.subarray(8, 8 + length));
    const expected = `{"__metadata__":{"a":"é","z":"\\n"},"10":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},` +
      `"9":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},"a":{"dtype":"BF16","shape":[1],"data_offsets":[32,34]},` +
      `"b":{"dtype":"BOOL","shape":[],"data_offsets":[34,35]}}`;
    assertEquals(header.trimEnd(), expected);
    assertEquals(length % 8, 0);
    assertEquals(bytes.length, 8 + length + 35);
    assertEquals((await readAll(path))["10"], weight);
  }));

Deno.test("npm:safetensors reads what was written", () =>
  inFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    const tensors = { weight, bias, wide: sample("I64"), half: sample("F16") };
    await writeSafetensors(path, Object.entries(tensors));
    const file = new safetensors.SafeTensor(await Deno.readFile(path));
    assertEquals([...file.metadata.keys()].sort(), Object.keys(tensors).sort());
    for (const [name, tensor] of Object.entries(tensors)) {
      const { dtype, shape } = file.metadata.get(name);
      assertEquals([dtype, shape], [tensor.dtype, tensor.shape]);
      assertEquals(new Uint8Array(file.getTensor(name)), bytesOf(tensor));
    }
  }));

Deno.test("values are asked for one at a time, in file order, and may come from an asynchronous source", () =>
  inFolder(async (folder) => {
    const asked: string[] = [];
    const lazy = (name: string, tensor: HostTensor): NamedSource => [name, {
      ...tensor,
      data: async () => {
        asked.push(`${name} begins`);
        await Promise.resolve();
        asked.push(`${name} ends`);
        return tensor.data;
      },
    }];
    async function* entries(): AsyncGenerator<NamedSource> {
      yield await Promise.resolve(lazy("bias", bias));
      yield lazy("weight", weight);
    }
    const path = `${folder}/model.safetensors`;
    await writeSafetensors(path, entries());
    assertEquals(asked, ["weight begins", "weight ends", "bias begins", "bias ends"]);
    assertEquals(await readAll(path), { weight, bias });
  }));

Deno.test("a view into a larger array writes only the view", () =>
  inFolder(async (folder) => {
    const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    await writeSafetensors(`${folder}/model.safetensors`, [["a", { dtype: "F32", shape: [2], data }]]);
    assertEquals((await readAll(folder)).a.data, Float32Array.of(1, 2));
  }));

Deno.test("a failure halfway leaves the old file and nothing else", () =>
  inFolder(async (folder) => {
    const path = `${folder}/x.safetensors`;
    await writeSafetensors(path, [["a", weight]]);
    const old = await Deno.readFile(path);
    const failing: NamedSource = ["z", { ...weight, data: () => Promise.reject(new Error("no such\nvalues")) }];
    assertStringIncludes(await refusal(folder, [["a", weight], failing]), "no such values");
    const unready: NamedSource = ["z", { ...weight, data: () => bias.data }];
    assertStringIncludes(await refusal(folder, [["a", weight], unready]), "1 values in a Uint16Array");
    assertEquals(await Deno.readFile(path), old);
    await writeSafetensors(path, [["b", bias]]);
    assertEquals(await readAll(path), { b: bias });
  }));

Deno.test("names, types, shapes, values and metadata that the format cannot hold are refused", () =>
  inFolder(async (folder) => {
    assertStringIncludes(await refusal(folder, [["a", weight], ["a", bias]]), 'tensor name "a"');
    assertStringIncludes(await refusal(folder, [["__metadata__", weight]]), 'tensor name "__metadata__"');
    assertStringIncludes(await refusal(folder, [["\ud800", weight]]), "tensor name");
    const short = Float32Array.of(1, 2);
    assertStringIncludes(await refusal(folder, [["a", { ...weight, data: short }]]), "4 values of F32 for shape [2,2]");
    const doubles = Float64Array.of(1, 2);
    assertStringIncludes(await refusal(folder, [["a", { ...weight, data: doubles }]]), "2 values in a Float64Array");
    for (const shape of [[-4], [1.5], [NaN], [2 ** 53]]) {
      assertStringIncludes(await refusal(folder, [["a", { ...weight, shape }]]), "shape [");
    }
    const huge = { ...weight, shape: [2 ** 30, 2 ** 30] };
    assertStringIncludes(await refusal(folder, [["a", huge]]), "2^53 - 1 bytes");
    const half = { ...weight, shape: [2 ** 50] };
    assertStringIncludes(await refusal(folder, [["a", half], ["b", half], ["c", half]]), "bytes of data");
    const unknown = { ...weight, dtype: "F8" as DType };
    assertStringIncludes(await refusal(folder, [["a", unknown]]), 'dtype "F8"');
    const metadata = { epoch: 1 } as unknown as Record<string, string>;
    assertStringIncludes(await refusal(folder, [["a", weight]], metadata), 'metadata "epoch": 1');
  }));

Deno.test("a folder that is missing, a file in its place or a folder in the file's place is refused", () =>
  inFolder(async (folder) => {
    const write = (path: string) => assertRejects(() => writeSafetensors(path, [["a", weight]]), OneloraError);
    assertStringIncludes((await write(`${folder}/none/a.safetensors`)).message, "no such file or directory");
    await Deno.writeTextFile(`${folder}/file`, "");
    await write(`${folder}/file/a.safetensors`);
    await Deno.mkdir(`${folder}/taken`);
    await write(`${folder}/taken`);
    assertEquals((await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort(), ["file", "taken"]);
  }));

Deno.test({
  name: "a folder that may not be written is refused",
  permissions: { read: "inherit", write: false },
  fn: async () => {
    const error = await assertRejects(() => writeSafetensors("x.safetensors", [["a", weight]]), OneloraError);
    assertStringIncludes(error.message, "writing x.safetensors: found NotCapable, Requires write access");
  },
});

Deno.test("a file of no tensors is written and read", () =>
  inFolder(async (folder) => {
    await writeSafetensors(`${folder}/model.safetensors`, [], { metadata: { only: "text" } });
    await using checkpoint = await openSafetensors(folder);
    assertEquals([checkpoint.names, checkpoint.metadata], [[], { only: "text" }]);
  }));
