/**
 * Every field of PEFT's configurations is read, known to have no effect, or refused, and the documentation says which.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { layouts, OWN_LAYOUT } from "../../adapters/exchange/format.ts";
import { type Treatment, treatments } from "../../adapters/exchange/settings.ts";

const root = fileOf(new URL("../..", import.meta.url));
const { fields }: { fields: Readonly<Record<string, Readonly<Record<string, unknown>>>> } = JSON.parse(
  await Deno.readTextFile(`${root}/tests/fixtures/peft-fields.json`),
);

Deno.test("the fields of PEFT 0.21 are those that are known here, for every method that it and this package have", () => {
  const types = layouts.filter((layout) => layout !== OWN_LAYOUT).toSorted();
  assertEquals(Object.keys(treatments).toSorted(), types);
  assertEquals(Object.keys(fields).toSorted(), types);
  for (const type of types) {
    assertEquals(Object.keys(treatments[type]).toSorted(), Object.keys(fields[type]).toSorted());
  }
});

Deno.test("docs/adapters.md has a row for every field, and in it what becomes of it for every method", async () => {
  const text = await Deno.readTextFile(`${root}/docs/adapters.md`);
  const cells = (line: string) => line.split("|").slice(1, -1).map((cell) => cell.trim());
  const rows = text.split("\n").filter((line) => line.startsWith("|")).map(cells);
  const [[, ...types], , ...written] = rows;
  const inWords = (treatment?: Treatment): string => {
    if (treatment === undefined) return "";
    if (treatment.kind === "read") return "read";
    if (treatment.kind === "without effect") return "no effect";
    return treatment.to === undefined ? "must be off" : `one of ${treatment.to.join(", ")}`;
  };
  const names = [...new Set(types.flatMap((type) => Object.keys(treatments[type])))].toSorted();
  assert(names.length > 50);
  assertEquals(written, names.map((name) => [`\`${name}\``, ...types.map((type) => inWords(treatments[type][name]))]));
});
