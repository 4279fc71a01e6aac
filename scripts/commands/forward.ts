/**
 * `deno task forward`: a model's outputs for the inputs in a safetensors file.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import {
  compile,
  mapTree,
  openSafetensors,
  type Params,
  toTensor,
  useBackend,
  type ValueType,
  writeSafetensors,
} from "../../dsl/mod.ts";
import { requirePlace } from "../../dsl/files/write.ts";
import type { NamedSource, TensorInfo } from "../../dsl/safetensors/mod.ts";
import { type Model, namedForward } from "../../models/mod.ts";
import { checkInputs, checkValues, type Signature, signatureFor } from "../../models/checkpoint/signature.ts";
import { planPass } from "../../tasks/trainer/plan.ts";
import type { Use } from "../../tasks/trainer/room.ts";
import { attempt } from "../cli/attempt.ts";
import { main, required, text } from "../cli/mod.ts";
import { modelMeant, openNoting } from "../cli/opened.ts";
import { backendFlag, trainedFlags } from "../cli/options.ts";

const flags = {
  ...trainedFlags,
  input: required(
    text({
      help: "Safetensors file of inputs by name: pixel_values; input_ids; latents, timesteps and labels; latents",
      value: "FILE",
    }),
  ),
  output: required(text({ help: "Safetensors file for the outputs, such as logits", value: "FILE" })),
  ...backendFlag,
};

await main(
  { name: "forward", summary: "Runs a model on tensors of a safetensors file.", flags },
  attempt(async ({ options: { model: given, adapter, input, output, backend, threads } }) => {
    const name = await modelMeant(given, adapter);
    requirePlace(output);
    await useBackend(backend, { threads });
    await using file = await openSafetensors(input);
    const found = Object.fromEntries(file.names.map((each) => [each, file.info(each)]));
    const checked = (model: Model): Signature => {
      const signature = signatureFor(model, file.names);
      checkInputs(signature, found, `reading ${input}`);
      return signature;
    };
    const types = mapTree<TensorInfo, ValueType>(({ shape, dtype }) => ({
      shape,
      dtype: /^[FB]/.test(dtype) ? "float32" : "int32",
    }))(found);
    const use: Use = {
      attempted: `running ${name} on ${input}`,
      needs: (model) => {
        const signature = checked(model);
        return (layer, kept) => {
          const forward = (all: Params, given: Params) => namedForward(signature, layer, all)(given);
          const { processBytes, results } = planPass(forward, layer, types, kept);
          // They are read to be written.
          return processBytes + results;
        };
      },
    };
    const { model, layer, params } = await openNoting(name, adapter, { holding: { reading: "passes" }, use });
    const signature = checked(model);
    const inputs: Record<string, Tensor> = {};
    for (const each of file.names) inputs[each] = toTensor(await file.read(each));
    await checkValues(signature, inputs, `reading ${input}`);
    // Compiled, so that every tensor is freed after its last use.
    const forward = compile(
      (all: Params, given: Params) => namedForward(signature, layer, all)(given),
      { graph: true, calls: 1 },
    );
    const outputs: Record<string, Tensor> = { ...forward(params, inputs) };
    forward.dispose();
    dispose([params as Record<string, Tensor>, inputs]);
    // One after the other, and not copied once more.
    const entries = Object.entries(outputs).map(([each, tensor]): NamedSource => [each, {
      dtype: "F32",
      shape: tensor.shape,
      data: () => tensor.data<"float32">(),
    }]);
    await writeSafetensors(output, entries);
    dispose(outputs);
  }),
);
