import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { checkSettings, metricTitle } from "../../scripts/commands/sweep/check.ts";
import { failure, output } from "../support/command.ts";

Deno.test("the plan of a table says what each method trains with, what has to be there, and what it takes", async () => {
  const plan = await output("sweep", "--paper", "S3", "--list", "--adapters", "1lora,bitfit", "--batch-size", "1");
  for (
    const part of [
      "- model: depth-anything-large-outdoor=FILE (https://",
      "- first, with all weights: nyu:DIR (https://",
      "- data: kitti:DIR (https://",
      "batch-size 1, weight-decay 0.01, schedule one-cycle-flat",
      "- seeds: 0, 1, 2, 3; 2 methods",
      "- folder: runs/sweeps/S3",
    ]
  ) assertStringIncludes(plan, part);
  assertMatch(plan, /^\| 1lora +\| about 115,790 \| 0.000161 \| 221,184 \| +\d.\d\d GB \| +about [\dhms ]+ \|$/m);
  const micro = await output("sweep", "--paper", "S9", "--micro", "--list", "--adapters", "none,all", "--steps", "7");
  assertMatch(micro, /^\| none +\| +0 \| +- \| +0 \| +- \| +about 3s \|$/m);
  assertMatch(micro, /^\| all +\| +7 \| 0.001 \| 802,048 \| +[\d.]+ MB \| +about \d+s \|$/m);
});

Deno.test("what cannot work is refused before anything runs", async () => {
  const [code, line] = await failure(
    "sweep",
    ...["--paper", "S3", "--model", "depth-anything-large-indoor=none.pth", "--data", "kitti:nowhere"],
  );
  assertEquals(code, 2);
  assertStringIncludes(line, "up to 20 m, for kitti:nowhere, which has up to 80 m; allowed: the -outdoor model");
  const generation = { task: "generation", model: "dit-xl-2", data: "food101:DIR", features: "inception-v3-fid=F" };
  const few = () => checkSettings({ ...generation, samples: 2000 });
  assertThrows(few, OneloraError, "2000 samples in the 2048 features");
  checkSettings({ ...generation, samples: 2048 });
  const held = () => checkSettings({ ...generation, limit: 32, validation: 1000 });
  assertThrows(held, OneloraError, "found `validation: 1000` with a `limit` of 32; allowed: at most 32");
  const blind = { task: "generation", model: "dit-xl-2", data: "food101:DIR" };
  assertThrows(() => checkSettings({ ...blind, samples: 2048 }), OneloraError, "samples of dit-xl-2 without features");
  for (const settings of [{ samples: 0 }, { model: "dit-micro", samples: 9 }, { model: "dit-of-mine", samples: 9 }]) {
    checkSettings({ ...blind, ...settings });
  }
  assertThrows(() => checkSettings({ task: "depth", model: "depth-anything-small-indoor", data: "nyu:D" }, "kitti:D"));
  checkSettings({ task: "depth", model: "depth-anything-small-outdoor", data: "nyu:D" }, "kitti:D");
  assertEquals([9_999, 10_000].map((samples) => metricTitle({ ...generation, samples })), [
    ...["Fréchet distance", "FID"],
  ]);
  assertEquals(metricTitle({ ...generation, features: "vit-base", samples: 50_000 }), "Fréchet distance");
});

Deno.test("a plan of which no method fits on the paper's card is refused with what would", async () => {
  const [code, line] = await failure("sweep", "--paper", "S6", "--list", "--adapters", "bitfit", "--accumulate", "1");
  assertEquals(code, 1);
  assertMatch(
    line,
    /128 x 512 tokens without accumulation, with bitfit .*found 2\d\d GB .*40\.0 GB .*--accumulate 16 \(/,
  );
});
