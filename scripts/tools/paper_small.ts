/**
 * The paper's tables in their full form on small files: every table's own methods and recipe, the readers of the published
 * formats, and random models of the published families a few numbers wide. Only steps, seeds and what is sampled are cut. It
 * shows that the commands of docs/paper.md run; the numbers mean nothing.
 *
 *     deno run -A scripts/tools/paper_small.ts --out runs/paper-small
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { dirname, fileOf } from "../../dsl/files/path.ts";
import { init, key, useBackend } from "../../dsl/mod.ts";
import { openModel, saveModel } from "../../models/mod.ts";
import { writeSmallChat } from "./small_chat.ts";
import { attempt } from "../cli/attempt.ts";
import { denoCommand, moduleArgument, taskArguments, taskEnvironment } from "../cli/deno.ts";
import { main, text } from "../cli/mod.ts";
import { experiments } from "../commands/sweep/paper.ts";
import { compressionTables, paperTable, paperTables } from "../commands/sweep/paper_tables.ts";

const fixtures = new URL("../../tests/fixtures/", import.meta.url);

/** Writes files from their contents, or copies of fixtures. */
async function write(folder: string, files: Readonly<Record<string, string | URL>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const whole = `${folder}/${path}`;
    await Deno.mkdir(dirname(whole), { recursive: true });
    if (typeof content === "string") await Deno.writeTextFile(whole, content);
    else await Deno.copyFile(content, whole);
  }
}

const depthFile = (name: string) => new URL(`depth-files/${name}`, fixtures);

/** As many training pairs as the recipe's batch has. */
const PAIRS = 16;

/** NYU's folders, KITTI's and DIODE's; the lists name the same pair many times. */
async function writeDepth(folder: string): Promise<void> {
  const list = (line: string, count: number) => `${line}\n`.repeat(count);
  await write(`${folder}/nyu`, {
    "nyudepthv2_train_files_with_gt.txt": list("/kitchen/rgb.png /kitchen/depth.png 518.8579", PAIRS),
    "nyudepthv2_test_files_with_gt.txt": list("bath/rgb.png bath/depth.png 518.8579", 2),
    // Large enough that NYU's crop leaves something.
    "sync/kitchen/rgb.png": depthFile("kitti.png"),
    "sync/kitchen/depth.png": depthFile("kitti-depth.png"),
    "official_splits/test/bath/rgb.png": depthFile("kitti.png"),
    "official_splits/test/bath/depth.png": depthFile("kitti-depth.png"),
  });
  const drive = "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png";
  const truth = "2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000069.png";
  await write(`${folder}/kitti`, {
    "kitti_eigen_train_files_with_gt.txt": list(`${drive} ${truth} 721.5377`, PAIRS),
    "kitti_eigen_test_files_with_gt.txt": list(`${drive} ${truth} 721.5377`, 2),
    [`raw/${drive}`]: depthFile("kitti.png"),
    [`train/${truth}`]: depthFile("kitti-depth.png"),
    [`val/${truth}`]: depthFile("kitti-depth.png"),
  });
  const scans = Array.from({ length: PAIRS + 2 }, (_, i) => {
    const part = i < PAIRS ? "train" : "val";
    const scan = `${part}/outdoor/scene_00019/scan_00183/00019_00183_${String(i).padStart(4, "0")}`;
    return [
      [`${scan}.png`, depthFile("picture.png")],
      [`${scan}_depth.npy`, depthFile("diode_depth.npy")],
      [`${scan}_depth_mask.npy`, depthFile("diode_depth_mask.npy")],
    ] as const;
  });
  await write(`${folder}/diode`, Object.fromEntries(scans.flat()));
}

/** MetaMath's JSON, with as many questions as the recipe's batch has. */
async function writeQuestions(folder: string): Promise<void> {
  const questions = JSON.parse(await Deno.readTextFile(new URL("reasoning/metamath.json", fixtures)));
  const many = Array.from({ length: 256 }, (_, i) => questions[i % questions.length]);
  await write(folder, { "MetaMathQA.json": JSON.stringify(many) });
}

/** Food-101's folder: two classes, with as many pictures as the recipe's batch has, and some to test with. */
async function writeFood(folder: string): Promise<void> {
  const picture = (name: string) => new URL(`image-files/food-101/images/${name}.jpg`, fixtures);
  const classes = [["apple_pie", picture("apple_pie/7")], ["baby_back_ribs", picture("baby_back_ribs/2")]] as const;
  const ids = (from: number, to: number) =>
    classes.flatMap(([name]) => Array.from({ length: to - from }, (_, i) => `${name}/${from + i}`));
  const [train, test] = [ids(0, 16), ids(16, 32)];
  await write(folder, {
    "meta/classes.txt": classes.map(([name]) => `${name}\n`).join(""),
    "meta/train.txt": train.map((id) => `${id}\n`).join(""),
    "meta/test.txt": test.map((id) => `${id}\n`).join(""),
    ...Object.fromEntries(
      [...train, ...test].map((id) => [`images/${id}.jpg`, classes.find(([name]) => id.startsWith(name))![1]]),
    ),
  });
}

/** A DiT of latents in the published form, with the autoencoder that it has beside it. */
async function writeDiffusion(folder: string): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(new URL("dit-diffusers/config.json", fixtures)));
  const sizes = { in_channels: 4, out_channels: 8, sample_size: 4, patch_size: 2, num_embeds_ada_norm: 2 };
  await write(folder, {
    "transformer/config.json": JSON.stringify({ ...config, ...sizes }),
    ...Object.fromEntries(
      ["config.json", "diffusion_pytorch_model.safetensors"]
        .map((name) => [`vae/${name}`, new URL(`vae-rgb/${name}`, fixtures)]),
    ),
  });
  const model = await openModel(`${folder}/transformer`);
  const params = init(model.layer, key(1));
  await saveModel(model, params, `${folder}/transformer`);
  dispose(params);
}

const fixture = (name: string) => fileOf(new URL(name, fixtures));

/** Model, data and what is cut of a table. */
function argumentsOf(table: string, folder: string): readonly string[] {
  const { experiment, data, first } = paperTable(table);
  const places: Readonly<Record<string, string>> = {
    "nyu:DIR": `nyu:${folder}/nyu`,
    "kitti:DIR": `kitti:${folder}/kitti`,
    "diode-outdoor:DIR": `diode-outdoor:${folder}/diode`,
    "metamath:FILE": `metamath:${folder}/MetaMathQA.json`,
    "food101:DIR": `food101:${folder}/food-101`,
    "cifar10:DIR": `cifar10:${fixture("image-files/cifar-10-binary.tar.gz")}`,
    "cifar100:DIR": `cifar100:${fixture("image-files/cifar-100-binary.tar.gz")}`,
  };
  const models: Readonly<Record<string, readonly string[]>> = {
    "depth": [fixture("depth-metric")],
    "reasoning": [`${folder}/llama`, "--samples", "1"],
    "generation": [
      ...[`${folder}/dit/transformer`, "--features", fixture("vit-rgb"), "--samples", "32", "--sampling-steps", "2"],
    ],
    "image-classification": [fixture("vit-rgb")],
  };
  const { task } = experiments[experiment].settings;
  return [
    ...["--data", places[data], ...first === undefined ? [] : ["--first-data", places[first.data]]],
    ...["--model", ...models[`${task}`]],
  ];
}

const CUT = ["--steps", "1", "--seeds", "0"];

const flags = {
  only: text({ help: "These tables", value: "S3,..." }),
  adapters: text({ help: "Methods (default: each table's own)", value: "SPEC,..." }),
  out: text({ help: "Folder of files and runs", value: "DIR", default: "runs/paper-small" }),
};

await main(
  { name: "paper_small", summary: "Runs the paper's tables in their full form on small files.", flags },
  attempt(async ({ options: { only, adapters, out } }) => {
    await useBackend("cpu");
    const data = `${out}/data`;
    await writeDepth(data);
    await writeQuestions(data);
    await writeFood(`${data}/food-101`);
    await Deno.mkdir(`${data}/llama`, { recursive: true });
    await writeSmallChat(`${data}/llama`, 4096);
    await writeDiffusion(`${data}/dit`);
    const wanted = only?.split(",") ?? ["S1", ...Object.keys(paperTables)];
    const lost: string[] = [];
    const run = async (name: string, command: "sweep" | "align" | "compare", args: readonly string[]) => {
      const script = moduleArgument(new URL(`../commands/${command}.ts`, import.meta.url));
      const child = new Deno.Command(await denoCommand(), {
        args: ["run", "--no-prompt", ...taskArguments(command), script, ...args],
        env: taskEnvironment(command),
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
      const { success, stdout, stderr } = await child.output();
      const [said, told] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim().split("\n"));
      if (!success) lost.push(name);
      const rows = said.filter((line) => line.startsWith("| ")).length;
      console.log(`${name}: ${success ? `${rows} rows` : `failed: ${told.slice(-3).join(" | ")}`}`);
    };
    for (const table of wanted) {
      const given = table === "S1"
        ? [
          ...["--data", `kitti:${data}/kitti,nyu:${data}/nyu,diode-outdoor:${data}/diode`],
          ...argumentsOf(Object.keys(compressionTables)[0], data).slice(-2),
        ]
        : argumentsOf(table, data);
      const cut = [...CUT, ...adapters === undefined ? [] : ["--adapters", adapters]];
      await run(table, "sweep", ["--paper", table, ...given, ...cut, "--out", `${out}/${table}`]);
    }
    const runs = (table: string) => ["all", "lora", "1lora"].map((method) => `${out}/${table}/${method}-seed0`);
    const [full, lora] = runs("S9");
    if (wanted.includes("S9")) await run("Figure 9", "align", ["--full", full, "--lora", lora]);
    if (wanted.includes("S6")) {
      await run("Appendix C", "compare", ["--run", runs("S6").slice(1).join(","), "--samples", "2"]);
    }
    if (lost.length > 0) throw new Error(`${lost.join(", ")} failed`);
  }),
);
