/**
 * What is fed with files that are nearly right: every reader of files from elsewhere.
 *
 * @module
 */
import { isRight } from "fp-ts/Either";
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { fileOf } from "../../../dsl/files/path.ts";
import { loadAdapter } from "../../../adapters/mod.ts";
import { readJsonFile } from "../../../dsl/files/python_json.ts";
import { openSafetensors, toTensor } from "../../../dsl/mod.ts";
import { openCheckpoint } from "../../../models/checkpoint/checkpoint.ts";
import { openPytorch } from "../../../models/checkpoint/pytorch/reader.ts";
import { writeGguf } from "../../../models/gguf/file.ts";
import { openChatTemplate } from "../../../models/llama/chat.ts";
import { openTokenizer } from "../../../models/llama/tokenizer.ts";
import { openSentencePiece } from "../../../models/llama/sentencepiece.ts";
import { type Model, openModel } from "../../../models/mod.ts";
import { decodeBmp } from "../../../tasks/data/bmp.ts";
import { openTextData } from "../../../tasks/text/open.ts";
import { openCifar } from "../../../tasks/data/cifar.ts";
import { opaqueGif } from "../../../tasks/data/gif.ts";
import { parseIdx } from "../../../tasks/data/idx.ts";
import { openParquet } from "../../../tasks/data/parquet.ts";
import { decodePnm } from "../../../tasks/data/pnm.ts";
import { checkTiff } from "../../../tasks/data/tiff.ts";
import { readMatlabNumbers } from "../../../tasks/depth/matlab.ts";
import { parseNpy } from "../../../tasks/depth/npy.ts";
import { pngFacts } from "../../../tasks/report/event.ts";
import { readRunFolder } from "../../../tasks/report/folder.ts";
import { recordsIn } from "../../../tasks/report/records.ts";
import { loadCheckpoint, saveCheckpoint } from "../../../tasks/trainer/checkpoint.ts";
import { readConfig } from "../../cli/config.ts";
import { trainFlags } from "../../cli/options.ts";

/** A reader that is fed. */
export interface Target {
  /** Files that are right; those of the repository by path, others as bytes. */
  readonly seeds: (folder: string) => Promise<readonly Uint8Array[]>;
  /** Reads one in a folder of its own. */
  readonly read: (bytes: Uint8Array<ArrayBuffer>, folder: string) => unknown;
}

const fixtures = new URL("../../../tests/fixtures/", import.meta.url);

/** Files of the repository as seeds. */
function files(...names: readonly string[]): Target["seeds"] {
  return () => Promise.all(names.map((name) => Deno.readFile(new URL(name, fixtures))));
}

function texts(...all: readonly string[]): Target["seeds"] {
  return () => Promise.resolve(all.map((text) => new TextEncoder().encode(text)));
}

/** Reads a file of a name with everything in it. */
function named(name: string, read: (path: string, folder: string) => Promise<unknown>): Target["read"] {
  return async (bytes, folder) => {
    await Deno.writeFile(`${folder}/${name}`, bytes);
    return await read(`${folder}/${name}`, folder);
  };
}

/** Copies a fixture beside what is fed, once. */
async function beside(folder: string, from: string, name: string): Promise<void> {
  await Deno.lstat(`${folder}/${name}`).catch(() => Deno.copyFile(new URL(from, fixtures), `${folder}/${name}`));
}

async function whole(path: string): Promise<void> {
  await using checkpoint = await openSafetensors(path);
  for (const name of checkpoint.names) await checkpoint.read(name);
}

/** An IDX file of six values. */
function idx(): Promise<readonly Uint8Array[]> {
  return Promise.resolve([Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6)]);
}

/** CIFAR-10's binary form, two images. */
function cifar(): Promise<readonly Uint8Array[]> {
  return Promise.resolve([Uint8Array.from({ length: 2 * 3073 }, (_, i) => i % 3073 === 0 ? i % 10 : i % 251)]);
}

let vit: Promise<Model> | undefined;
const moving = () => ({ trained: { "a.weight": toTensor({ dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }) } });

/** The readers by name. */
export const targets: Readonly<Record<string, Target>> = {
  safetensors: {
    seeds: files("safetensors/every_type.safetensors", "bitfit.safetensors"),
    read: named("model.safetensors", whole),
  },
  gguf: {
    seeds: async (folder) => {
      const path = `${folder}/seed.gguf`;
      const [name, number] = ["llama.", (uint32: number) => ({ uint32 })];
      const sizes = { block_count: 1, context_length: 8, embedding_length: 32, feed_forward_length: 32 };
      const metadata = [
        ["general.architecture", "llama"],
        ...Object.entries(sizes).map(([key, size]) => [name + key, number(size)] as const),
        ["llama.attention.head_count", number(2)],
        ["llama.attention.layer_norm_rms_epsilon", { float32: 1e-5 }],
        ["tokenizer.ggml.model", "llama"],
        ["tokenizer.ggml.tokens", { strings: ["<s>", "a", "b", "ab"] }],
        ["tokenizer.ggml.scores", { float32s: [0, 0, 0, -1] }],
        ["tokenizer.ggml.token_type", { int32s: [3, 1, 1, 1] }],
      ] as const;
      const data = () => Promise.resolve(new Float32Array(128).fill(0.5));
      await writeGguf(path, metadata, [{ name: "token_embd.weight", shape: [4, 32], type: "q8_0", data }]);
      return [await Deno.readFile(path)];
    },
    read: named("model.gguf", async (path) => {
      const { folder } = await openModel(path);
      await openTokenizer(folder!);
      await using checkpoint = await openCheckpoint(path);
      for (const name of checkpoint.names) await checkpoint.read(name);
    }),
  },
  index: {
    seeds: files("safetensors/sharded/model.safetensors.index.json"),
    read: named("model.safetensors.index.json", async (path, folder) => {
      for (const shard of [1, 2, 3].map((number) => `model-0000${number}-of-00003.safetensors`)) {
        await beside(folder, `safetensors/sharded/${shard}`, shard);
      }
      await whole(path);
    }),
  },
  pickle: {
    seeds: files("pytorch/types.pt", "pytorch/types-legacy.pt", "pytorch/types-protocol-4.pt", "pytorch/plain.pt"),
    read: named("model.pt", async (path) => {
      await using checkpoint = await openPytorch(path);
      for (const name of checkpoint.names) await checkpoint.read(name);
    }),
  },
  idx: { seeds: idx, read: (bytes) => parseIdx(bytes, 3, "images") },
  cifar: {
    seeds: cifar,
    read: named("data_batch_1.bin", async (path, folder) => {
      await Deno.writeFile(`${folder}/test_batch.bin`, (await cifar())[0]);
      const { train } = await openCifar("cifar10", folder);
      for (let i = 0; i < train.size; i++) await train.get(i);
      return path;
    }),
  },
  parquet: {
    seeds: files("image-files/hub/data/validation-00000-of-00001.parquet", "reasoning/gsm8k.parquet"),
    read: named("train.parquet", async (path) => {
      const file = await openParquet(path, { binary: true });
      for (const { start, end } of file.groups) await file.read(file.columns, start, end);
    }),
  },
  matlab: {
    seeds: files("depth-files/splits-packed.mat", "depth-files/splits-plain.mat"),
    read: (bytes) => readMatlabNumbers(bytes, "testNdxs", "splits.mat"),
  },
  npy: {
    seeds: files("depth-files/little-f4.npy", "depth-files/big-u2.npy", "depth-files/bool.npy"),
    read: (bytes) => parseNpy(bytes, "depth.npy"),
  },
  bmp: {
    seeds: files("pictures/4.bmp", "pictures/32.bmp", "pictures/os2.bmp"),
    read: (bytes) => decodeBmp(bytes, "a"),
  },
  pnm: { seeds: files("pictures/16.ppm", "pictures/bilevel.pbm"), read: (bytes) => decodePnm(bytes, "a") },
  gif: { seeds: files("pictures/grey.gif", "pictures/animated.gif"), read: (bytes) => opaqueGif(bytes, "a") },
  tiff: { seeds: files("pictures/packbits.tif", "pictures/grey16.tiff"), read: (bytes) => checkTiff(bytes, "a") },
  png: { seeds: files("pictures/grey.png", "pictures/palette.png"), read: (bytes) => pngFacts(bytes) },
  json: {
    seeds: files("vit-rgb/config.json", "llama-tied/config.json"),
    read: named("config.json", (path) => readJsonFile(path)),
  },
  yaml: {
    seeds: texts("batch-size: 8\nlr: 0.001\nadapter: 1lora\ntarget: [a, b]\n", "a: &a [1, 2]\nb: *a\nsteps: 0x10\n"),
    read: named("train.yaml", async (path) => {
      const read = await readConfig(trainFlags, path)();
      if (!isRight(read)) throw read.left;
    }),
  },
  tokenizer: {
    seeds: files("tokenizer-bytes/tokenizer.json"),
    read: named("tokenizer.json", async (_, folder) => {
      await beside(folder, "tokenizer-bytes/tokenizer_config.json", "tokenizer_config.json");
      const tokenizer = await openTokenizer(folder);
      tokenizer.decode(tokenizer.encode("Hello, wide world!  12345"));
    }),
  },
  chat: {
    seeds: async () => {
      const { chats } = JSON.parse(await Deno.readTextFile(new URL("chat.json", fixtures)));
      const templates = chats.map(({ files }: { files: Record<string, string> }) => files["chat_template.jinja"]);
      return templates.filter((text: unknown) => typeof text === "string")
        .map((text: string) => new TextEncoder().encode(text));
    },
    read: named("chat_template.jinja", async (_, folder) => {
      const write = await openChatTemplate(folder);
      write([{ role: "system", content: "Be kind." }, { role: "user", content: "Hello" }]);
    }),
  },
  texts: {
    seeds: texts(
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n{"messages":[]}\n',
      '{"prompt":"a","completion":"b"}\n{"instruction":"a","input":"","output":"b"}\n{"text":"NaN","x":[NaN,1e999]}\n',
      '[{"prompt":"a","completion":"b"},{"prompt":"c","completion":"d"}]',
    ),
    read: named("train.json", async (path) => {
      await openTextData(path, {});
    }),
  },
  sentencepiece: {
    seeds: files("tokenizer-sentencepiece/tokenizer.model"),
    read: named("tokenizer.model", async (path) => {
      const tokenizer = await openSentencePiece(path, {});
      tokenizer.decode(tokenizer.encode("Hello, wide world!  12345"));
    }),
  },
  adapter: {
    seeds: files("peft/lora/adapter_config.json", "peft/miss/adapter_config.json", "peft/vera/adapter_config.json"),
    read: named("adapter_config.json", async (_, folder) => {
      await beside(folder, "peft/lora/adapter_model.safetensors", "adapter_model.safetensors");
      const model = await (vit ??= openModel(fileOf(new URL("vit-rgb", fixtures))));
      const { params } = await loadAdapter(folder, model.layer, model.modules);
      dispose(params as Record<string, Tensor>);
    }),
  },
  model: {
    seeds: files(
      "vit-rgb/config.json",
      "llama-tied/config.json",
      "dit-diffusers/config.json",
      "depth-metric/config.json",
    ),
    read: named("config.json", async (_, folder) => {
      await beside(folder, "vit-rgb/model.safetensors", "model.safetensors");
      return await openModel(folder);
    }),
  },
  checkpoint: {
    seeds: async (folder) => {
      const like = moving();
      const progress = { step: 3, position: { epoch: 0, offset: 24 }, seconds: 1.5 };
      await saveCheckpoint(`${folder}/seed.safetensors`, { ...like, optimiser: {} }, progress);
      dispose(like.trained);
      return [await Deno.readFile(`${folder}/seed.safetensors`)];
    },
    read: named("last.safetensors", async (path) => {
      const like = moving();
      try {
        const { trained } = await loadCheckpoint(path, { ...like, optimiser: {} });
        dispose(trained as Record<string, Tensor>);
      } finally {
        dispose(like.trained);
      }
    }),
  },
  run: {
    seeds: texts('{"model":"vit-micro","adapter":"1lora","data":"mnist","rank":4}', '{"step":1,"loss":2,"lr":0.1}\n'),
    read: async (bytes, folder) => {
      await Deno.writeTextFile(`${folder}/config.json`, '{"model":"vit-micro"}');
      await Deno.writeFile(`${folder}/metrics.jsonl`, bytes);
      await Deno.writeFile(`${folder}/summary.json`, bytes);
      recordsIn(bytes);
      await readRunFolder(folder);
    },
  },
};
