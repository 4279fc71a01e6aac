/**
 * Passes on programs, compared by what the programs before and after come to.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Pass } from "../../dsl/compile/passes.ts";
import type { Program } from "../../dsl/compile/program.ts";
import { replayer } from "../../dsl/compile/replay.ts";
import { useBackend } from "../../dsl/mod.ts";
import { assertClose, withoutLeaks } from "./compare.ts";

/** A program before and after a pass, whose results are the same but for the order of sums. */
export function changedBy(
  pass: Pass,
  before: Program,
  given: readonly tf.Tensor[],
): readonly [before: Program, after: Program] {
  const after = pass(before);
  const replayers = [before, after].map((program) => replayer(program));
  const [expected, found] = replayers.map((each) => each.run([...given]));
  replayers.forEach((each) => each.dispose());
  expected.forEach((tensor, i) => assertClose(found[i], tensor, 1e-5, `result ${i}`));
  return [before, after];
}

/** A test in plain JavaScript whose tensors are all freed. */
export function testTidily(name: string, body: () => void): void {
  Deno.test(name, async () => {
    await useBackend("cpu");
    await withoutLeaks(() => {
      tf.tidy(body);
      return Promise.resolve();
    });
  });
}
