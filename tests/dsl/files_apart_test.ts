import { assert, assertEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/mod.ts";
import { apart, Unanswered } from "../../dsl/files/apart.ts";

const module = new URL("../support/apart/misbehaving.ts", import.meta.url);

Deno.test("a thread answers in turn; what loops, swells or slips there is one line here, and the next answer comes", async () => {
  const thread = apart<string, unknown>(module, { megabytes: 64 });
  try {
    const answer = { said: "hello", bytes: Uint8Array.of(2, 3) };
    assertEquals(await thread.ask("hello", "asking", 20), answer);
    const began = performance.now();
    await assertRejects(() => thread.ask("loop", "asking", 0.5), OneloraError, "asking: found no end of it");
    assert(performance.now() - began < 5000);
    assertEquals(await thread.ask("hello", "asking", 20), answer);
    // A thread at its bound of memory stops there, and is ended by that of time. Other tests have memory of their own.
    const before = Deno.memoryUsage().rss;
    await assertRejects(() => thread.ask("swell", "asking", 1), OneloraError, "asking: found");
    assert(Deno.memoryUsage().rss - before < 2 ** 29);
    assertEquals(await thread.ask("hello", "asking", 20), answer);
    const refusal = await assertRejects(
      () => thread.ask("refuse", "asking", 20),
      OneloraError,
      "a: found b; allowed: c",
    );
    assertEquals(refusal.exitCode, 2);
    await assertRejects(() => thread.ask("fail", "asking", 20), OneloraError, "found TypeError, a slip");
    assertEquals(await thread.ask("abandon", "asking", 20), "there");
    assertEquals(await Promise.all([thread.ask("a", "", 20), thread.ask("b", "", 20)]), [
      { ...answer, said: "a" },
      { ...answer, said: "b" },
    ]);
  } finally {
    await thread.close();
  }
});

Deno.test("what counts is a request's work: not the thread's start, what is aside of it, a wait, or what keeps this thread", async () => {
  const slow = new URL("../support/apart/slow_to_start.ts", import.meta.url);
  const thread = apart<Readonly<Record<string, number>>, string>(slow, { megabytes: 64 });
  try {
    assertEquals(await thread.ask({}, "starting", 0.4), "there");
    assertEquals(await thread.ask({ aside: 1000 }, "fetching", 0.4), "there");
    assertEquals(await thread.ask({ waiting: 1000 }, "waiting", 0.4), "there");
    const answer = thread.ask({ waiting: 200 }, "asking", 0.4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const end = performance.now() + 1000;
    while (performance.now() < end);
    assertEquals(await answer, "there");
    // All of these are bounded.
    await assertRejects(() => thread.ask({ working: 60_000 }, "working", 0.4), Unanswered, "found no end of it");
    await assertRejects(() => thread.ask({ waiting: 60_000 }, "waiting", 0.4), Unanswered, "found no end of it");
  } finally {
    await thread.close();
  }
});
