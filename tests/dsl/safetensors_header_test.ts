import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { craft, entry, readAll } from "../support/safetensors_craft.ts";
import { inFolder } from "../support/data_folder.ts";

const four = new Uint8Array(4);
const eight = new Uint8Array(8);
const one = entry("F32", [1], 0, 4);
const nested = (levels: number) => '{"a":'.repeat(levels) + "1" + "}".repeat(levels);

/** Every rule of the format, broken: the rule, a file, a part of the error line. */
const broken: readonly (readonly [string, Uint8Array<ArrayBuffer>, string])[] = [
  ["an empty file", new Uint8Array(), "a file of 0 bytes"],
  ["a file shorter than its length field", new Uint8Array(7), "a file of 7 bytes"],
  ["a header past the file's end", craft("{}", four, 7n), "a header length of 7 bytes"],
  ["a header length of 2^64 - 1", craft("{}", four, 2n ** 64n - 1n), "a header length of 18446744073709551615 bytes"],
  ["a header length of 2^53 + 2", craft("{}", four, 2n ** 53n + 2n), "a header length of"],
  ["an empty header", craft(""), "an empty header"],
  ["a header that does not start with {", craft(` {"a":${one}}`, four), "starts with byte 32"],
  ["a byte order mark", craft(`\uFEFF{"a":${one}}`, four), "starts with byte 239"],
  ["a header that is a list", craft("[]"), "starts with byte 91"],
  ["a header that is not UTF-8", craft(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a), four), "not valid"],
  ["a header cut short", craft(`{"a":{"dtype":"F32"`, four), "JSON"],
  ["an unfinished string", craft(`{"a`, four), "JSON"],
  ["a wrong escape in a name", craft(`{"\\q":${one}}`, four), "JSON"],
  ["text after the header's end", craft(`{"a":${one}}x`, four), "JSON"],
  ["zeros after the header's end", craft(`{"a":${one}}\0`, four), "JSON"],
  ["a name given twice", craft(`{"a":${one},"a":${one}}`, four), 'the name "a" twice'],
  ["a name given twice, once escaped", craft(`{"a":${one},"\\u0061" :${one}}`, four), 'the name "a" twice'],
  ["a field given twice", craft(`{"a":{"dtype":"F32",${one.slice(1)}}`, four), 'the name "dtype" twice'],
  ["a metadata key given twice", craft(`{"__metadata__":{"k":"1","k":"2"}}`), 'the name "k" twice'],
  ["metadata given twice", craft(`{"__metadata__":{},"__metadata__":{}}`), 'the name "__metadata__" twice'],
  ["deep nesting", craft(nested(4)), "nesting deeper than 3 levels"],
  ["very deep nesting", craft(nested(1_000_000)), "nesting deeper than 3 levels"],
  ["a list in a list", craft(`{"a":[[]]}`), "a list with a list or an object in it"],
  ["a list of objects", craft(`{"a":[${"{},".repeat(1_000_000)}{}]}`), "a list with a list or an object in it"],
  ["millions of values", craft(`{"a":[${"0,".repeat(3_000_000)}0]}`), "more than 1048576 commas"],
  ["an entry that is a number", craft(`{"a":1}`), "found 1"],
  ["an entry that is a list", craft(`{"a":[]}`), "found []"],
  ["an entry that is null", craft(`{"a":null}`), "found null"],
  ["an entry without fields", craft(`{"a":{}}`), "dtype undefined"],
  ["an unknown dtype", craft(`{"a":${entry("F33", [1], 0, 4)}}`, four), 'dtype "F33"'],
  ["a dtype named like an object's method", craft(`{"a":${entry("toString", [1], 0, 4)}}`, four), 'dtype "toString"'],
  ["a dtype that is a number", craft(`{"a":{"dtype":1,"shape":[],"data_offsets":[0,4]}}`, four), "dtype 1"],
  ["a missing shape", craft(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, four), "shape undefined"],
  ["a shape that is a number", craft(`{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}`, four), "shape 1"],
  ["a shape with text", craft(`{"a":${entry("F32", ["1"], 0, 4)}}`, four), 'shape ["1"]'],
  ["a negative axis", craft(`{"a":${entry("F32", [-1], 0, 4)}}`, four), "a number with a sign"],
  ["an axis of -0", craft(`{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}`), "a number with a sign"],
  ["an axis of 1.0", craft(`{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}`, four), "fraction"],
  ["an axis of 1e0", craft(`{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}`, four), "exponent"],
  ["an axis of 2^53", craft(`{"a":${entry("U8", [2 ** 53], 0, 4)}}`, four), "shape [9007199254740992]"],
  ["a product that overflows", craft(`{"a":${entry("F32", [2 ** 31, 2 ** 31, 4], 0, 4)}}`, four), "shape [2147483648"],
  ["a product that wraps to 0", craft(`{"a":${entry("U8", [2 ** 32, 2 ** 32], 0, 0)}}`), "shape [4294967296"],
  ["an overflow beside an axis of 0", craft(`{"a":${entry("U8", [0, 2 ** 50, 2 ** 50], 0, 0)}}`), "shape [0,"],
  ["missing offsets", craft(`{"a":{"dtype":"F32","shape":[1]}}`, four), "data_offsets undefined"],
  ["one offset", craft(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, four), "data_offsets [0]"],
  ["three offsets", craft(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}`, four), "data_offsets [0,4,4]"],
  ["offsets as text", craft(`{"a":{"dtype":"F32","shape":[1],"data_offsets":["0","4"]}}`, four), "data_offsets ["],
  ["begin after end", craft(`{"a":${entry("F32", [1], 4, 0)}}`, four), "data_offsets [4,0]"],
  ["an end past the data", craft(`{"a":${entry("F32", [2], 0, 8)}}`, four), "data_offsets [0,8]"],
  ["offsets past the data", craft(`{"a":${entry("F32", [1], 2 ** 52, 2 ** 52 + 4)}}`, four), "data_offsets [4503"],
  ["more bytes than the shape has", craft(`{"a":${entry("F32", [1], 0, 8)}}`, eight), "8 bytes (data_offsets"],
  ["fewer bytes than the shape has", craft(`{"a":${entry("F64", [1], 0, 4)}}`, four), "allowed: 8 bytes"],
  ["an overlap", craft(`{"a":${one},"b":${entry("F32", [1], 2, 6)}}`, new Uint8Array(6)), "an overlap before"],
  ["one place for two tensors", craft(`{"a":${one},"b":${one}}`, four), "an overlap before"],
  ["an empty tensor inside another", craft(`{"a":${one},"b":${entry("U8", [0], 2, 2)}}`, four), "an overlap before"],
  ["a hole", craft(`{"a":${one},"b":${entry("F32", [1], 8, 12)}}`, new Uint8Array(12)), "a hole before"],
  ["a hole at the beginning", craft(`{"a":${entry("F32", [1], 4, 8)}}`, eight), "a hole before"],
  ["bytes after the last tensor", craft(`{"a":${one}}`, new Uint8Array(5)), "1 bytes after the last tensor"],
  ["data without tensors", craft("{}", four), "4 bytes after the last tensor"],
  ["metadata that is text", craft(`{"__metadata__":"x"}`), '__metadata__ "x"'],
  ["metadata with a number", craft(`{"__metadata__":{"k":1}}`), '__metadata__ {"k":1}'],
  ["metadata with an object", craft(`{"__metadata__":{"k":{}}}`), '__metadata__ {"k":{}}'],
  ["a name that is no Unicode text", craft(`{"\\ud800":${one}}`, four), "the name"],
  ["a huge name", craft(`{"${"n".repeat(1_000_000)}":1}`), "nnn..."],
];

Deno.test("metadata that is null is none, as to the reference implementation", () =>
  inFolder(async (folder) => {
    const path = `${folder}/null.safetensors`;
    await Deno.writeFile(path, craft(`{"__metadata__":null,"a":${one}}`, four));
    await using checkpoint = await openSafetensors(path);
    assertEquals(checkpoint.names, ["a"]);
  }));

for (const [rule, bytes, part] of broken) {
  Deno.test(`a safetensors file with ${rule} is refused in one line`, () =>
    inFolder(async (folder) => {
      const path = `${folder}/broken.safetensors`;
      await Deno.writeFile(path, bytes);
      const error = await assertRejects(() => openSafetensors(path), OneloraError);
      assertStringIncludes(error.message, part);
      assertStringIncludes(error.message, path);
      assert(!error.message.includes("\n") && error.message.length < 600, error.message);
    }));
}

Deno.test("a header of more than 100 MB is refused before it is read", () =>
  inFolder(async (folder) => {
    const path = `${folder}/long.safetensors`;
    await Deno.writeFile(path, craft("{}", undefined, 100_000_001n));
    await Deno.truncate(path, 200_000_000);
    const error = await assertRejects(() => openSafetensors(path), OneloraError);
    assertStringIncludes(error.message, "at most 100000000");
  }));

Deno.test("unusual files that the format allows are read", () =>
  inFolder(async (folder) => {
    const path = `${folder}/odd.safetensors`;
    const read = async (bytes: Uint8Array<ArrayBuffer>) => {
      await Deno.writeFile(path, bytes);
      return await readAll(path);
    };
    assertEquals(await read(craft("{}")), {});
    assertEquals(await read(craft(`{}     `)), {});
    assertEquals(await read(craft(`{"__metadata__":{}}`)), {});
    const scalar = await read(craft(`{"":${entry("U8", [], 0, 1)}}`, Uint8Array.of(9)));
    assertEquals(scalar, { "": { dtype: "U8", shape: [], data: Uint8Array.of(9) } });
    const prototype = await read(craft(`{"__proto__":${entry("U8", [1], 0, 1)}}`, Uint8Array.of(9)));
    assertEquals(Object.keys(prototype), ["__proto__"]);
    const quotes = await read(
      craft(`{ "\\"\\\\" : ${entry("U8", [1], 0, 1)}, "\\\\": ${entry("U8", [0], 1, 1)}}`, Uint8Array.of(9)),
    );
    assertEquals(Object.keys(quotes), ['"\\', "\\"]);
    // A value "a" is no second name "a", and names may repeat in different entries.
    const values = await read(
      craft(`{"__metadata__":{"a":"a","b":"a"},"a":${one},"b":${entry("F32", [0, 3], 4, 4)}}`, four),
    );
    assertEquals(Object.keys(values), ["a", "b"]);
  }));
