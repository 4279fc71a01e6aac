import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { closeParquetThread, openParquet } from "../../tasks/data/parquet.ts";

/** The place after a number of thrift's compact form. */
function afterNumber(bytes: Uint8Array, at: number): number {
  while (bytes[at] & 0x80) at++;
  return at + 1;
}

Deno.test("Parquet: a page that its reader never comes to the end of is refused in bounded time, the second time at once", async () => {
  try {
    const file = await openParquet("tests/fixtures/damaged/endless.parquet");
    await assertRejects(() => file.read(file.columns, 0, 1), OneloraError, "no end of it");
    const again = performance.now();
    await assertRejects(() => file.read(file.columns, 0, 1), OneloraError, "came to no answer before");
    assert(performance.now() - again < 1000);
    // Other files are read as before.
    const intact = await openParquet("tests/fixtures/reasoning/gsm8k.parquet");
    assert((await intact.read(intact.columns, 0, 1)).length === 1);
  } finally {
    await closeParquetThread();
  }
});

Deno.test("Parquet: pages of a negative size, and of more values than the footer says, are refused at once", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const bytes = await Deno.readFile("tests/fixtures/reasoning/gsm8k.parquet");
    // The first page begins after the magic: its kind, size unpacked and size packed, each behind a byte 0x15.
    assertEquals([bytes[4], bytes[6]], [0x15, 0x15]);
    const packed = afterNumber(bytes, 7);
    assertEquals(bytes[packed], 0x15);
    // Zigzag: odd numbers are negative ones.
    bytes[packed + 1] |= 1;
    const refused = async (damaged: Uint8Array<ArrayBuffer>, found: string) => {
      const path = `${folder}/${found.length}.parquet`;
      await Deno.writeFile(path, damaged);
      const file = await openParquet(path);
      const { message } = await assertRejects(() => file.read(file.columns, 0, 1), OneloraError);
      assertStringIncludes(message, found);
    };
    await refused(bytes, "found RangeError, a page of -");
    const counted = await Deno.readFile("tests/fixtures/damaged/endless.parquet");
    // The page's header, and in it the number of values, zigzag: 200.
    const [header, count] = [1511, 1521];
    assertEquals([...counted.slice(count - 2, count + 2)], [0x5c, 0x15, 0x90, 0x03]);
    counted[count] = 0x92;
    await refused(counted, "found RangeError, pages of 201 values in a column of 200");
    counted[header] = 0xff;
    await refused(counted, `found RangeError, no header of a page at byte ${header}`);
  } finally {
    await closeParquetThread();
    await Deno.remove(folder, { recursive: true });
  }
});
