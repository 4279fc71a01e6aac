import { assertEquals } from "@std/assert";
import { slowToMatch } from "../../dsl/files/pattern.ts";

Deno.test("patterns of published tokenizers are fast to match", () => {
  const published = [
    String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
    String
      .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+`,
    String
      .raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}| ?[^\s\p{L}]+[\r\n/]*|\s+(?!\S)|\s+`,
    String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`,
    String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))`,
    String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
    " {2,}",
    "▁",
    "",
  ];
  for (const pattern of published) assertEquals(slowToMatch(pattern), undefined, pattern);
});

Deno.test("patterns that may take for ever are told", () => {
  const inside = "a repeated group with a choice or a repetition in it";
  const patterns = [
    "(a+)+$",
    "(a|a)*$",
    "(a?)*",
    "(\\w+\\.?)+!",
    "(x+x+)+y",
    "((ab)*)*c",
    "(?:a|ab)+c",
    "(.*)*",
    "(?<n>a|b)*",
  ];
  for (const pattern of patterns) assertEquals(slowToMatch(pattern), inside, pattern);
  assertEquals(slowToMatch("(a{1,100}){1,100}b"), inside);
  assertEquals(slowToMatch("a*a*a*b"), "more than 2 repetitions without an end in a row");
  assertEquals(slowToMatch("a".repeat(5000)), "5000 characters");
  // Classes and escapes hide nothing and are nothing.
  assertEquals(slowToMatch(String.raw`[(]+[)*+]+|\(\*\)\+`), undefined);
});
