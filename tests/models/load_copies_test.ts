/** What is left of a file where the engine copies it. @module */
import { assert, assertEquals } from "@std/assert";
import { dispose } from "@tensorflow/tfjs-core";
import { key, useBackend } from "../../dsl/mod.ts";
import { engineInUse } from "../../dsl/engine/in_use.ts";
import { specs } from "../../dsl/layer.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { planLoading } from "../../tasks/trainer/plan.ts";

/** Bytes that were given back while parameters were read, and the first number of each. */
async function given(backend: "wasm" | "cpu"): Promise<readonly [bytes: number, numbers: readonly number[]]> {
  await useBackend(backend);
  const model = await openModel("vit-micro");
  const { transfer } = ArrayBuffer.prototype;
  let bytes = 0;
  ArrayBuffer.prototype.transfer = function (length) {
    bytes += this.byteLength - (length ?? this.byteLength);
    return transfer.call(this, length);
  };
  try {
    const { params } = await loadParams(model, key(0));
    const numbers = Object.values(params).map((each) => each.dataSync()[0]);
    dispose({ ...params });
    return [bytes, numbers];
  } finally {
    ArrayBuffer.prototype.transfer = transfer;
  }
}

Deno.test("what was read of a file goes at once where the engine has copied it, and stays where it may not have", async () => {
  const [copied, numbers] = await given("wasm");
  const model = await openModel("vit-micro");
  const all = Object.values(specs(model.layer)).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  assert(copied >= all, `${copied} of ${all} bytes`);
  const [kept, same] = await given("cpu");
  assertEquals([kept, numbers], [0, same]);
});

Deno.test("loading is planned with one tensor as it was read beside those before it", async () => {
  await useBackend("wasm");
  const { layer } = await openModel("vit-micro");
  const { start } = engineInUse().overhead;
  const sizes = Object.values(specs(layer)).map(({ shape }) => 4 * sizeOf(shape));
  const all = sizes.reduce((sum, each) => sum + each, 0);
  const planned = planLoading(layer, { backend: "wasm", forms: undefined }) - start;
  assert(planned >= all && planned <= all + Math.max(...sizes), `${planned}, ${all}`);
  assertEquals(planLoading(layer, { backend: "tensorflow", forms: undefined }) - 375e6, all + Math.max(...sizes));
});
