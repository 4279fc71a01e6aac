/**
 * What every classifier of pictures is put through, whatever its family.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import { apply, init, key, type Params } from "../../dsl/mod.ts";
import { loadParams, type Model, openModel } from "../../models/mod.ts";
import { fineTune, load, mergeOpened } from "../../tasks/mod.ts";
import { assertClose } from "./compare.ts";

/** An adapter changes nothing at its start, and merged with numbers of its own it computes what it does apart. */
export async function assertMerges(
  model: Model,
  spec: string,
  base: Params,
  { pixels, logits }: { readonly pixels: tf.Tensor; readonly logits: tf.Tensor },
): Promise<void> {
  const layer = adapt(spec)(model.layer);
  const start = init(layer, key(5), base);
  assertClose(apply(layer, start)(pixels), logits, 1e-5, `${spec} at its start`);
  const params = Object.fromEntries(
    Object.entries(start).map(([path, tensor]) =>
      [path, path in base ? tensor : tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.05, "float32", 7))] as const
    ),
  );
  const merged = await mergeOpened({ model, layer, params, initialised: [] });
  const apart = apply(layer, params)(pixels);
  assertClose(apply(merged.model.layer, merged.params)(pixels), apart, 1e-4, `${spec} merged`);
}

const image = (grey: number) => ({ data: new Uint8Array(14 * 14 * 3).fill(grey), width: 14, height: 14 });

/**
 * A model is trained on two classes of pictures with its head, saved and loaded, and merged; what came of it is read again.
 *
 * @param folder The model
 * @param adapter The method
 * @param look What else is looked at: the merged model's folder
 */
export async function assertTrains(
  folder: string,
  adapter: string,
  look: (merged: string) => Promise<void> = async () => {},
): Promise<void> {
  const data = Array.from(
    { length: 8 },
    (_, i) => ({ image: image(i % 2 * 200 + i), label: i % 2 ? "light" : "dark" }),
  );
  const at = await Deno.makeTempDir();
  try {
    const settings = { steps: 3, batchSize: 4, lr: 0.01, augment: false, backend: "wasm" } as const;
    using tuned = await fineTune({ model: folder, data, adapter, ...settings });
    const found = await tuned.predict(image(210));
    assertEquals(found.map(({ label }) => label).sort(), ["dark", "light"]);
    await tuned.save(`${at}/adapter`);
    using again = await load(`${at}/adapter`);
    assertEquals(await again.predict(image(210)), found);
    using merged = await tuned.merge();
    await merged.save(`${at}/merged`);
    await look(`${at}/merged`);
    const whole = await openModel(`${at}/merged`);
    assertEquals(whole.labels, ["dark", "light"]);
    const { params } = await loadParams(whole, key(0));
    for (const path of Object.keys(merged.params)) assertClose(params[path], merged.params[path], 1e-6, path);
    tf.dispose(params as Record<string, tf.Tensor>);
  } finally {
    await Deno.remove(at, { recursive: true });
  }
}
