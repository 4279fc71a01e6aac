import { assert, assertEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { closeParquetThread, openParquet } from "../../tasks/data/parquet.ts";

/** The place after a number of thrift's compact form. */
function afterNumber(bytes: Uint8Array, at: number): number {
  while (bytes[at] & 0x80) at++;
  return at + 1;
}

Deno.test("Parquet: a page of negative size is refused in bounded time, the second time at once", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const bytes = await Deno.readFile("tests/fixtures/reasoning/gsm8k.parquet");
    // The first page begins after the magic: its kind, size unpacked and size packed, each behind a byte 0x15.
    assertEquals([bytes[4], bytes[6]], [0x15, 0x15]);
    const packed = afterNumber(bytes, 7);
    assertEquals(bytes[packed], 0x15);
    // Zigzag: odd numbers are negative ones.
    bytes[packed + 1] |= 1;
    const path = `${folder}/train.parquet`;
    await Deno.writeFile(path, bytes);
    const file = await openParquet(path);
    const began = performance.now();
    await assertRejects(() => file.read(file.columns, 0, 1), OneloraError, "reading");
    const took = performance.now() - began;
    assert(took < 15_000, `${took} ms`);
    const again = performance.now();
    await assertRejects(() => file.read(file.columns, 0, 1), OneloraError, "reading");
    assert(performance.now() - again < 1000);
    // Other files are read as before.
    const intact = await openParquet("tests/fixtures/reasoning/gsm8k.parquet");
    assert((await intact.read(intact.columns, 0, 1)).length === 1);
  } finally {
    await closeParquetThread();
    await Deno.remove(folder, { recursive: true });
  }
});
