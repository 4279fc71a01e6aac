import { dispose } from "@tensorflow/tfjs-core";
import { init, key } from "../../dsl/mod.ts";
import { llama, llamaPresets, openModel, saveModel } from "../../models/mod.ts";
import { wordProblemTokenizer } from "../../tasks/mod.ts";

/**
 * Writes a very small random model for the built-in problems' tokenizer.
 *
 * @param folder Where
 */
export async function writeSmallLlama(folder: string): Promise<void> {
  const preset = await openModel("llama-micro");
  const sized = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 };
  const config = { ...llamaPresets["llama-micro"], layers: 1, hidden: 16, heads: 2, headSize: 8, keyValueHeads: 1 };
  const layer = llama({ ...config, intermediate: 32 });
  const params = init(layer, key(1));
  await saveModel({ ...preset, layer, config: { ...preset.config, ...sized, intermediate_size: 32 } }, params, folder);
  for (const [name, content] of Object.entries(wordProblemTokenizer().files)) {
    await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(content));
  }
  dispose(Object.values(params));
}
