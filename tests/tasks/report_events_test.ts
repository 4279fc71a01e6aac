import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { OneloraError } from "../../dsl/error.ts";
import { type EventLog, openEvents } from "../../tasks/report/events.ts";
import { recordOf, recordsIn } from "../../tasks/report/records.ts";
import fixture from "../fixtures/events/events.json" with { type: "json" };
import { inFolder } from "../support/data_folder.ts";

const expected = await Deno.readFile("tests/fixtures/events/expected.tfevents");
const name = `events.out.tfevents.${fixture.start}.onelora`;

/** A clock that moves on by a quarter of a second whenever it is looked at. */
function clock(start: number = fixture.start): () => number {
  let looks = 0;
  return () => 1000 * (start + 0.25 * looks++);
}

/** Logs the fixture's records from one on. */
function write(events: EventLog, from: number = 0, to: number = fixture.written.length): void {
  for (const { step, values, tag, png } of fixture.written.slice(from, to)) {
    if (values !== undefined) events.scalars(step, values as unknown as Record<string, number>);
    else events.image(step, tag!, Uint8Array.fromBase64(png!));
  }
}

/** Fields of a message: numbers, or the bytes of what is not a number. */
function fields(bytes: Uint8Array): readonly (readonly [field: number, value: number | Uint8Array])[] {
  const reader = new BinaryReader(bytes);
  const found: [number, number | Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const value = type === WireType.LengthDelimited
      ? reader.bytes()
      : type === WireType.Bit64
      ? reader.double()
      : type === WireType.Bit32
      ? reader.float()
      : Number(reader.int64());
    found.push([field, value]);
  }
  return found;
}

/** Step and numbers of every event of a file. */
function scalarsOf(file: Uint8Array): readonly (readonly [step: number, values: Record<string, number>])[] {
  return recordsIn(file).map((record) => {
    const event = fields(record);
    const values = event.filter(([field]) => field === 5).flatMap(([, summary]) => fields(summary as Uint8Array))
      .map(([, value]) => Object.fromEntries(fields(value as Uint8Array)));
    const named = values.filter((value) => typeof value[2] === "number")
      .map((value) => [new TextDecoder().decode(value[1] as unknown as Uint8Array), value[2] as number]);
    return [Number(event.find(([field]) => field === 2)?.[1] ?? 0), Object.fromEntries(named)];
  });
}

Deno.test("an event file has the bytes that TensorBoard's own writer gives the same events", () =>
  inFolder(async (folder) => {
    {
      using events = openEvents(`${folder}/run`, 0, clock());
      write(events);
    }
    assertEquals(Array.from(Deno.readDirSync(`${folder}/run`), (entry) => entry.name), [name]);
    assertEquals(await Deno.readFile(`${folder}/run/${name}`), expected);
  }));

Deno.test("what TensorBoard reads in the file is what was written", () => {
  const read = new Map<string, (readonly [number, number])[]>();
  for (const [step, values] of scalarsOf(expected)) {
    for (const [tag, value] of Object.entries(values)) read.set(tag, [...(read.get(tag) ?? []), [step, value]]);
  }
  assertEquals(Object.fromEntries(read), fixture.scalars as unknown as Record<string, [number, number][]>);
  assertEquals(fixture.pictures["pictures/samples"], [[0, 3, 2], [5_000_000_000, 3, 2]]);
});

Deno.test("events are in the file as soon as they are logged", () =>
  inFolder(async (folder) => {
    using events = openEvents(folder, 0, clock());
    for (let record = 0; record < fixture.written.length; record++) {
      write(events, record, record + 1);
      assertEquals(recordsIn(await Deno.readFile(`${folder}/${name}`)).length, 2 + record);
    }
  }));

Deno.test("a resumed run drops a record cut off at any byte and steps after its checkpoint, and goes on", () =>
  inFolder(async (folder) => {
    const ends = recordsIn(expected).reduce<number[]>(
      (all, { length }) => [...all, (all.at(-1) ?? 0) + 12 + length + 4],
      [],
    );
    assertEquals(ends.at(-1), expected.length);
    // Steps 0 and 1 are kept; the file ends anywhere after them.
    for (let length = ends[2]; length <= expected.length; length += 1) {
      await Deno.writeFile(`${folder}/${name}`, expected.subarray(0, length));
      {
        using events = openEvents(folder, 1, clock(fixture.start + 0.5));
        write(events, 2);
      }
      assertEquals(await Deno.readFile(`${folder}/${name}`), expected, `cut at byte ${length}`);
    }
  }));

Deno.test("a new run, and one resumed where nothing was kept, starts its file anew", () =>
  inFolder(async (folder) => {
    for (const [content, resumedStep] of [[expected, 0], [expected.subarray(0, 20), 1], [expected.subarray(7), 9]]) {
      await Deno.writeFile(`${folder}/${name}`, content as Uint8Array);
      {
        using events = openEvents(folder, resumedStep as number, clock());
        write(events);
      }
      assertEquals(await Deno.readFile(`${folder}/${name}`), expected);
    }
  }));

Deno.test("event files of others stay as they are", () =>
  inFolder(async (folder) => {
    const other = `${folder}/events.out.tfevents.1.host`;
    await Deno.writeTextFile(other, "theirs");
    openEvents(folder, 5, clock())[Symbol.dispose]();
    assertEquals(await Deno.readTextFile(other), "theirs");
    assertEquals(recordsIn(await Deno.readFile(`${folder}/${name}`)).length, 1);
  }));

Deno.test("records end at the first that is damaged", () => {
  const whole = [recordOf(Uint8Array.of(1, 2)), recordOf(Uint8Array.of()), recordOf(Uint8Array.of(3))];
  const file = Uint8Array.from(whole.flatMap((record) => [...record]));
  assertEquals(recordsIn(file).map((data) => [...data]), [[1, 2], [], [3]]);
  for (let at = 0; at < file.length; at++) {
    const damaged = file.with(at, file[at] ^ 1);
    const intact = at < whole[0].length ? 0 : at < whole[0].length + whole[1].length ? 1 : 2;
    assertEquals(recordsIn(damaged).length, intact, `byte ${at}`);
  }
  const endless = file.slice();
  new DataView(endless.buffer).setBigUint64(0, 2n ** 64n - 1n, true);
  assertEquals(recordsIn(endless), []);
});

Deno.test("what cannot be logged is one line", () =>
  inFolder(async (folder) => {
    using events = openEvents(folder, 0, clock());
    const line = assertThrows(() => events.image(1, "samples", new Uint8Array(40)), OneloraError).message;
    assertEquals(line, "logging the picture samples: found 40 bytes of something else; allowed: a PNG file");
    events.scalars(2, { "not a number": NaN, "\ud800": Infinity });
    const [, [step, values]] = scalarsOf(await Deno.readFile(`${folder}/${name}`));
    assertEquals(step, 2);
    assertEquals(values, { "not a number": NaN, "\ufffd": Infinity });
    await Deno.writeTextFile(`${folder}/file`, "");
    const refused = assertThrows(() => openEvents(`${folder}/file/run`, 0), OneloraError).message;
    assertMatch(refused, /^writing events into .*: found .*; allowed: a folder that can be written$/);
    assert(!refused.includes("\n"));
  }));

Deno.test("without a clock of one's own the time is now", () =>
  inFolder(async (folder) => {
    const before = Date.now() / 1000;
    openEvents(folder, 0)[Symbol.dispose]();
    const [{ name: file }] = Array.from(Deno.readDirSync(folder));
    const [record] = recordsIn(await Deno.readFile(`${folder}/${file}`));
    const [[field, time]] = fields(record);
    assertEquals(field, 1);
    assertAlmostEquals(time as number, before, 60);
    assertMatch(file, /^events\.out\.tfevents\.\d{10}\.onelora$/);
  }));
