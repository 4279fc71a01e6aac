/** A model of one's own: a block of two linear layers over patches of a picture. @module */
import * as tf from "@tensorflow/tfjs-core";
import { defineLayer, type Layer } from "../../dsl/layer.ts";
import { activationLayer, patchEmbedLayer } from "../../dsl/layers.ts";
import { linear } from "../../dsl/linear.ts";
import { type Family, family, labelsField, wholeField } from "../../models/mod.ts";

/** Its sizes. */
export interface PatchMlpConfig {
  readonly image: number;
  readonly patch: number;
  readonly hidden: number;
  readonly labels: readonly string[];
}

/** Pixels [B, 3, H, W] -> logits [B, classes] = head(mean over patches of x + down(gelu(up x))). */
function patchMlp({ patch, hidden, labels }: PatchMlpConfig): Layer {
  return defineLayer({
    kind: "patch_mlp",
    params: {},
    parts: {
      patches: patchEmbedLayer(3, [patch, patch], hidden),
      up: linear(hidden, 2 * hidden),
      act: activationLayer("gelu"),
      down: linear(2 * hidden, hidden),
      head: linear(hidden, labels.length, { role: "head" }),
    },
    forward: (self, pixels) => {
      const x = self.call("patches", pixels);
      return self.call("head", tf.mean(tf.add(x, self.call("down", self.call("act", self.call("up", x)))), 1));
    },
  });
}

/** The model as a family of checkpoints. */
export const patchMlpFamily: Family = family<PatchMlpConfig>({
  name: "patch_mlp",
  presets: { "patch-mlp": { image: 16, patch: 4, hidden: 24, labels: ["0", "1"] } },
  build: patchMlp,
  readConfig: (json) => ({
    image: wholeField(json, "image_size", 16),
    patch: wholeField(json, "patch_size", 4),
    hidden: wholeField(json, "hidden_size", 24),
    labels: labelsField(json),
  }),
  writeConfig: ({ image, patch, hidden, labels }) => ({
    model_type: "patch_mlp",
    image_size: image,
    patch_size: patch,
    hidden_size: hidden,
    id2label: Object.fromEntries(labels.map((label, i) => [`${i}`, label])),
  }),
  keys: () => ({ prefix: "", unprefixed: [], ignored: [], modules: [] }),
  headPath: "head",
  signature: ({ image }) => ({
    inputs: [{ name: "pixel_values", kind: "float", shape: ["batch", 3, image, image] }],
    outputs: ["logits"],
  }),
  image: ({ image }) => ({ height: image, width: image, channels: 3, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }),
  classes: {
    labels: ({ labels }) => labels,
    withLabels: (config, labels) => ({ ...config, labels }),
    part: { path: "head", extraRows: 0 },
  },
});
