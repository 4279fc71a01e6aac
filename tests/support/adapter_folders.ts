/** Adapter folders of the fixtures' ViT. @module */
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, type AdapterSpec, loadAdapter, type SaveAdapterOptions } from "../../adapters/mod.ts";
import { init, isTrainable, key, type Layer, type Params, useBackend } from "../../dsl/mod.ts";
import { loadParams, type Model, openModel } from "../../models/mod.ts";
import { fixture, withoutLeaks } from "./compare.ts";

/** The fixtures' folder. */
export const root: string = fileOf(new URL("../fixtures", import.meta.url));

/** A folder that PEFT wrote. */
export function peftFolder(name: string): string {
  return `${root}/peft/${name}`;
}

/** A model with an adapter on it. */
export interface Adapted {
  readonly model: Model;
  readonly layer: Layer;
  readonly params: Params;
}

/** The adapted ViT of the fixtures, trained parameters at values of their own. */
export async function adapted(spec: AdapterSpec, over?: Params): Promise<Adapted> {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const layer = adapt(`${spec.adapter}+head`, spec)(model.layer);
  const params = init(layer, key(0), { ...base, ...over });
  if (over !== undefined) return { model, layer, params };
  const trained = isTrainable(layer);
  const moved = Object.entries(params).map(([path, tensor], i) =>
    [path, trained(path) ? tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.1, "float32", i + 1)) : tensor] as const
  );
  return { model, layer, params: Object.fromEntries(moved) };
}

/** What to tell `saveAdapter`. */
export function saving({ model, layer, params }: Adapted, spec: AdapterSpec): SaveAdapterOptions {
  return { layer, params, spec, names: model.modules, baseModel: "vit-rgb" };
}

/** The fixtures' batch. */
export async function pixels(): Promise<tf.Tensor> {
  return (await fixture(`${root}/vit-rgb/expected.safetensors`)).pixel_values;
}

/** Runs a test body with a folder of its own, on the cpu backend, and asserts that it leaves no tensors behind. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await useBackend("cpu");
    await withoutLeaks(() => body(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A folder's configuration. */
export async function readJson(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
}

/** The base model with an adapter folder on it. */
export async function loaded(folder: string): Promise<Adapted & { readonly read: Params }> {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const { layer, params: read } = await loadAdapter(folder, model.layer, model.modules);
  return { model, layer, read, params: init(layer, key(1), { ...base, ...read }) };
}
