/**
 * Whether a language model that goes on with a text fits into memory.
 *
 * @module
 */
import type { ValueType } from "../../dsl/compile/mod.ts";
import { engineInUse } from "../../dsl/engine/mod.ts";
import { type ParamSpec, specs } from "../../dsl/layer.ts";
import { quantisations } from "../../dsl/quantise.ts";
import { mapTree } from "../../dsl/tree.ts";
import { formsOf, heldForms, type Holding } from "../../models/checkpoint/load.ts";
import { planDecoding } from "../../models/llama/decoder.ts";
import { asLanguageModel, type Model } from "../../models/mod.ts";
import { requireRoom, roomThere } from "../trainer/room.ts";
import { type ContinueSettings, MOST_TOKENS } from "./continuation.ts";

/**
 * Refuses to go on with a text where the model does not fit into memory.
 *
 * @param model The model
 * @param settings What is to come, and what weights are kept as
 * @throws OneloraError saying what is needed, what there is, and what would fit
 */
export async function requireRoomToGoOn(model: Model, settings: ContinueSettings & Holding): Promise<void> {
  const room = roomThere();
  const { name, precisions, hold } = engineInUse();
  if (room === undefined) return;
  const types = mapTree<ParamSpec, ValueType>(({ shape }) => ({ shape, dtype: "float32" }))(specs(model.layer));
  const blocks = await heldForms(model, model.layer, {});
  const asTheyAre = await heldForms(model, model.layer, { decoding: true });
  const needs = (holding: Holding): number => {
    const forms = hold === undefined ? undefined : new Map([...asTheyAre, ...formsOf(model.layer, holding), ...blocks]);
    return planDecoding(asLanguageModel(model, model.layer), types, {
      backend: name,
      precision: holding.precision,
      forms,
      rows: 1,
      // A token is a byte at least.
      length: Math.max(1, settings.prompt?.length ?? 1),
      tokens: settings.maxTokens ?? MOST_TOKENS,
    }).processBytes;
  };
  const others = function* (): Generator<readonly [string, number]> {
    if (settings.precision !== "bf16" && precisions.includes("bf16")) {
      yield ["--precision bf16", needs({ ...settings, precision: "bf16" })];
    }
    if (hold === undefined || blocks.size > 0 || settings.quantise !== undefined) return;
    for (const quantise of quantisations) {
      yield [`--precision bf16 --quantise ${quantise}`, needs({ precision: "bf16", quantise })];
    }
  };
  requireRoom(`going on with a text by ${model.name}`, needs(settings), room, others());
}
