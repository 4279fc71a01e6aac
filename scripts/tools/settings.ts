/**
 * The table of what becomes of every setting of the files beside a model's weights: `docs/settings.md`.
 *
 * @module
 */
import { fileOf } from "../../dsl/files/path.ts";
import type { Settings } from "../../models/mod.ts";
import { generationSettings } from "../../models/companions/generation.ts";
import { preprocessorSettings } from "../../models/companions/processor_classes.ts";
import { pipelineSettings, schedulerSettings } from "../../models/companions/scheduler.ts";
import { specialTokensSettings, tokenizerSettings } from "../../models/companions/tokenizer.ts";
import { autoencoderSettings } from "../../models/autoencoder/settings.ts";
import { clipSettings, clipVisionSettings } from "../../models/clip/settings.ts";
import { depthAnythingSettings } from "../../models/depth_anything/settings.ts";
import { dinov2ClassifierSettings, dinov2Settings } from "../../models/dinov2/settings.ts";
import { ditSettings } from "../../models/dit/settings.ts";
import { llamaSettings } from "../../models/llama/settings.ts";
import { mistralSettings, qwen2Settings, smollm3Settings } from "../../models/llama/siblings.ts";
import { argumentSettings, pretrainedSettings, timmSettings } from "../../models/timm/settings.ts";
import { vitSettings } from "../../models/vit/settings.ts";
import { writeWhole } from "../../dsl/files/write.ts";

const tables: Readonly<Record<string, Settings>> = {
  "ViT and DeiT, config.json": vitSettings,
  "DINOv2 without and with registers, config.json": dinov2ClassifierSettings,
  "CLIP, config.json": clipSettings,
  "CLIP, vision_config": clipVisionSettings,
  "timm's ViTs, config.json": timmSettings,
  "timm's ViTs, pretrained_cfg": pretrainedSettings,
  "timm's ViTs, model_args": argumentSettings,
  "Depth Anything, config.json": depthAnythingSettings,
  "DINOv2, backbone_config": dinov2Settings,
  "DiT, config.json": ditSettings,
  "AutoencoderKL, config.json": autoencoderSettings,
  "LLaMA, config.json": llamaSettings,
  "Mistral, config.json": mistralSettings,
  "Qwen2, config.json": qwen2Settings,
  "SmolLM3, config.json": smollm3Settings,
  "LLaMA, generation_config.json": generationSettings,
  "LLaMA, tokenizer_config.json": tokenizerSettings,
  "LLaMA, special_tokens_map.json": specialTokensSettings,
  "DiT, model_index.json": pipelineSettings,
  ...Object.fromEntries(
    Object.entries(preprocessorSettings).map(([name, settings]) => [`preprocessor_config.json, ${name}`, settings]),
  ),
  ...Object.fromEntries(
    Object.entries(schedulerSettings).map(([name, settings]) => [`scheduler_config.json, ${name}`, settings]),
  ),
};

/** The settings of a kind, by what is said of them. */
function listed(settings: Settings, kind: Settings[string]["kind"]): readonly string[] {
  const some = Object.entries(settings).filter(([, treatment]) => treatment.kind === kind);
  const groups = Map.groupBy(some, ([, treatment]) => {
    if (treatment.kind === "honoured") return "";
    if (treatment.kind === "no effect") return treatment.why;
    const values = treatment.values.map((value) => `\`${JSON.stringify(value)}\``).join(", ");
    const besides = values === "" ? "" : ` (at other values than ${values})`;
    return `${treatment.why}${besides}`;
  });
  return [...groups].map(([why, names]) => {
    const all = names.map(([name]) => `\`${name}\``).join(", ");
    return why === "" ? all : `${all}: ${why}`;
  });
}

/** The page, in Markdown. */
export function settingsTable(): string {
  const count = (settings: Settings, ...kinds: readonly string[]) =>
    Object.values(settings).filter(({ kind }) => kinds.includes(kind)).length;
  const rows = Object.entries(tables).map(([name, settings]) =>
    `| ${name} | ${count(settings, "honoured")} | ${count(settings, "no effect", "noted")} | ${
      count(settings, "refused")
    } |`
  );
  const sections = Object.entries(tables).map(([name, settings]) => {
    const part = (title: string, kind: Settings[string]["kind"]) => {
      const lines = listed(settings, kind);
      return lines.length === 0 ? [] : [`${title}:\n\n${lines.map((line) => `- ${line}`).join("\n")}\n`];
    };
    return [
      `## ${name}\n`,
      ...part("Honoured", "honoured"),
      ...part("Without effect here", "no effect"),
      ...part("Named in a note", "noted"),
      ...part("Refused by name", "refused"),
    ].join("\n");
  });
  return `# Settings of the files beside a model's weights

Made by \`deno run -R -W scripts/tools/settings.ts\` from the tables in the code. Every setting that the reference's class
knows is listed; any other changes nothing there, and a note names it here. A refused setting is accepted at values that
change nothing, and where it is null.

In \`added_tokens.json\` each token must have the id that \`tokenizer.json\` gives it. Any other \`NAME_token\` of
\`tokenizer_config.json\` is a token of the model's own, as in transformers 5. In \`tokenizer.json\` itself nothing is
ignored: an unknown part or setting is refused by name.

| file | honoured | without effect | refused |
| ---- | -------- | -------------- | ------- |
${rows.join("\n")}

${sections.join("\n")}`;
}

if (import.meta.main) await writeWhole(fileOf(new URL("../../docs/settings.md", import.meta.url)), settingsTable());
