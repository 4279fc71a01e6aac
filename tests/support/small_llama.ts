import { dispose } from "@tensorflow/tfjs-core";
import { init, key } from "../../dsl/mod.ts";
import { llama, llamaPresets, openModel, saveModel } from "../../models/mod.ts";
import type { SavedType } from "../../models/checkpoint/save.ts";
import { wordProblemTokenizer } from "../../tasks/mod.ts";

/**
 * Writes a very small random model for the built-in problems' tokenizer.
 *
 * @param folder Where
 * @param sizes Its widths, and the type of its weights
 */
export async function writeSmallLlama(
  folder: string,
  { hidden = 16, intermediate = 32, dtype }: {
    readonly hidden?: number;
    readonly intermediate?: number;
    readonly dtype?: SavedType;
  } = {},
): Promise<void> {
  const preset = await openModel("llama-micro");
  const shared = { num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1 };
  const sized = { ...shared, hidden_size: hidden, head_dim: hidden / 2, intermediate_size: intermediate };
  const config = { ...llamaPresets["llama-micro"], layers: 1, heads: 2, keyValueHeads: 1 };
  const layer = llama({ ...config, hidden, headSize: hidden / 2, intermediate });
  const params = init(layer, key(1));
  await saveModel({ ...preset, layer, config: { ...preset.config, ...sized } }, params, folder, { dtype });
  for (const [name, content] of Object.entries(wordProblemTokenizer().files)) {
    await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(content));
  }
  dispose(Object.values(params));
}
