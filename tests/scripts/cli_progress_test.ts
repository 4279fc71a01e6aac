import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Progress, progress, span } from "../../scripts/cli/mod.ts";

/** A display without a terminal whose clock is moved by hand. */
function display(total: number, start?: number) {
  const lines: string[] = [];
  let time = 0;
  const shown: Progress = progress({ label: "1lora", total, start }, {
    isTerminal: false,
    line: (text) => lines.push(text),
    now: () => time,
  });
  const tick = (step: number, seconds: number) => {
    time = seconds * 1000;
    shown.tick({ step, loss: 1 / step, rate: 1e-3 });
  };
  return { lines, tick, shown };
}

Deno.test("a span of time has two units at most", () => {
  assertEquals([0, 9.4, 59.4, 59.6, 65, 3599, 3600, 7384, 90_000, -1].map(span), [
    "0s",
    "9s",
    "59s",
    "1m 00s",
    "1m 05s",
    "59m 59s",
    "1h 00m",
    "2h 03m",
    "25h 00m",
    "0s",
  ]);
});

Deno.test("without a terminal the first and the last step are shown", () => {
  const { lines, tick } = display(100);
  for (let step = 1; step <= 100; step++) tick(step, step / 1000);
  assertEquals(lines, [
    "1lora  1/100  loss 1.0000  lr 1.00e-3  0s left",
    "1lora  100/100  loss 0.0100  lr 1.00e-3  0s left",
  ]);
});

Deno.test("without a terminal lines are two seconds and a fiftieth of the run apart", () => {
  const slow = display(10);
  for (let step = 1; step <= 10; step++) slow.tick(step, step);
  assertEquals(slow.lines.map((line) => line.split("  ")[1]), ["1/10", "3/10", "5/10", "7/10", "9/10", "10/10"]);
  const long = display(1000);
  for (let step = 1; step <= 1000; step++) long.tick(step, step);
  assertEquals(long.lines.length, 51);
  const endless = display(1_000_000);
  for (let step = 1; step <= 200; step++) endless.tick(step, step);
  assertEquals(endless.lines.map((line) => line.split("  ")[1].split("/")[0]), ["1", "61", "121", "181"]);
});

Deno.test("the time left is that of the steps to come at the pace of those done here", () => {
  const { lines, tick } = display(200, 100);
  tick(110, 20);
  assertStringIncludes(lines[0], "3m 00s left");
});

Deno.test("notes are lines of their own", () => {
  const { lines, shown } = display(10);
  shown.note("checkpoint saved");
  shown.stop();
  assertEquals(lines, ["checkpoint saved"]);
});

Deno.test("a loss that is not a number is shown as such", () => {
  const { lines, shown } = display(1);
  shown.tick({ step: 1, loss: NaN, rate: 0 });
  assertMatch(lines[0], /loss NaN {2}lr 0\.00e\+0/);
});
