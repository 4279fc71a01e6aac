import { assertEquals, assertRejects } from "@std/assert";
import { sayingHowLong } from "../../tasks/trainer/waiting.ts";

Deno.test("long work says how long it takes, and no more once it has ended or failed", async () => {
  const lines: string[] = [];
  const said = Promise.withResolvers<void>();
  const line = (text: string) => (lines.push(text), said.resolve());
  assertEquals(await sayingHowLong(line, "evaluating", () => said.promise.then(() => 7), 5), 7);
  assertEquals(lines.length, 1);
  assertEquals(lines[0], "evaluating: 0s so far");
  // The test runner finds a timer that is left.
  await assertRejects(() => sayingHowLong(line, "evaluating", () => Promise.reject(new Error("no")), 5), Error, "no");
  assertEquals(await sayingHowLong(line, "evaluating", () => Promise.resolve(8)), 8);
  assertEquals(lines.length, 1);
});
