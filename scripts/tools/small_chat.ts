/** A very small random model with a tokenizer of bytes and a chat template. @module */
import { dispose, mul, type Tensor } from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { init, key, mapTree } from "../../dsl/mod.ts";
import { llama, llamaPresets, openModel, saveModel } from "../../models/mod.ts";

const fixtures = fileOf(new URL("../../tests/fixtures", import.meta.url));

/** How it writes chats. */
export const CHAT_TEMPLATE: string =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

/**
 * Writes it.
 *
 * @param folder Where
 * @param positions Tokens that it reads at most
 */
export async function writeSmallChat(folder: string, positions: number = 512): Promise<void> {
  const preset = await openModel("llama-micro");
  const sized = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 };
  const config = { ...llamaPresets["llama-micro"], layers: 1, hidden: 16, heads: 2, headSize: 8, keyValueHeads: 1 };
  const layer = llama({ ...config, vocabulary: 400, positions });
  const written = {
    ...{ ...preset.config, ...sized, intermediate_size: 256, vocab_size: 400, eos_token_id: 0 },
    max_position_embeddings: positions,
  };
  const params = init(layer, key(1));
  // Large enough that one token is likelier than another.
  const strong = mapTree((tensor: Tensor) => mul(tensor, 8))(params);
  await saveModel({ ...preset, layer, config: written }, strong, folder);
  dispose([params, strong] as Record<string, Tensor>[]);
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(`${fixtures}/tokenizer-bytes/${file}`, `${folder}/${file}`);
  }
  await Deno.writeTextFile(`${folder}/chat_template.jinja`, CHAT_TEMPLATE);
}
