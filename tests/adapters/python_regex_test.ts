/**
 * Python's regular expressions match what Python's `re` matches, in little time whatever they are.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { pythonRegex } from "../../adapters/exchange/regex/match.ts";
import { RegexError } from "../../adapters/exchange/regex/cursor.ts";

type Case = readonly [expression: string, whole: readonly string[] | null, start?: readonly string[]];

const { names, cases }: { names: readonly string[]; cases: readonly Case[] } = JSON.parse(
  await Deno.readTextFile(new URL("../fixtures/python-regex.json", import.meta.url)),
);

Deno.test("expressions match the names that Python's match, and what cannot be matched is refused", () => {
  assert(cases.length > 300);
  for (const [expression, whole, start] of cases) {
    if (whole === null) {
      assertThrows(() => pythonRegex(expression), RegexError, "", expression);
      continue;
    }
    const regex = pythonRegex(expression);
    assertEquals(names.filter(regex.matchesWhole), whole, expression);
    assertEquals(names.filter(regex.matchesStart), start, expression);
  }
});

Deno.test("expressions that keep a backtracking engine busy for years take no time", () => {
  const text = `${"a".repeat(200)}!`;
  const began = performance.now();
  for (
    const bomb of [
      "(a+)+b",
      "((a*)*)*b",
      "(a|a)*b",
      "(a|aa)+b",
      "(.*a){20}b",
      `${".*?".repeat(100)}b`,
      `${"(".repeat(60)}a${")+".repeat(60)}b`,
      "(?:(?:a{0,1000}){0,1000}){0,1000}b",
      "(?=(a+)+b)a",
    ]
  ) assertEquals(pythonRegex(bomb).matchesWhole(text), false, bomb);
  // Less than a minute however busy the machine is, where a backtracking engine takes years.
  assert(performance.now() - began < 60_000);
  for (const [long, why] of [["a".repeat(5000), "4096"], ["(".repeat(500), "100 groups"], ["a{1001}", "1000"]]) {
    assertThrows(() => pythonRegex(long), RegexError, why);
  }
});

Deno.test("the ends of matches from a place are all found", () => {
  assertEquals(pythonRegex("(ab)*").endsFrom("ababab", 2), [2, 4, 6]);
});
