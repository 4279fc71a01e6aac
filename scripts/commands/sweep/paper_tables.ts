/**
 * Tables S1 to S12 of the paper as it prints them: `deno task sweep --paper S9`. What training settings they were made
 * with is in `paper.ts`.
 *
 * @module
 */

/** The paper's figures for a method. */
export interface PaperRow {
  /** The paper's name for it. */
  readonly label: string;
  /** Ours: a specification and where it goes, `lora@qkv`. */
  readonly method: string;
  /** Time, in the table's unit; not given for a head alone. */
  readonly time?: number;
  /** Mean of the metric. */
  readonly mean: number;
  /** Its standard deviation; the image generation table has one run each. */
  readonly deviation?: number;
  /** Share of an A100's 40 GB, in percent; not given for a head alone. */
  readonly memory?: number;
  /** Trained parameters. */
  readonly parameters: string;
}

/** A table. */
export interface PaperTable {
  /** What was fine-tuned to what, and the figure it belongs to. */
  readonly title: string;
  /** Its kind of experiment. */
  readonly experiment: "depth" | "reasoning-7b" | "reasoning-13b" | "generation" | "classification";
  /** What `--data` takes. */
  readonly data: string;
  /** Built-in data that stand for it in micro size. */
  readonly micro: string;
  /** What its model learns first, with all weights, before the methods start from it: full size and micro. */
  readonly first?: { readonly data: string; readonly micro: string };
  /** Its methods, in its order. */
  readonly rows: readonly PaperRow[];
}

const KITTI = { data: "kitti:DIR", micro: "scenes-driving" };
const NYU = { data: "nyu:DIR", micro: "scenes-indoor" };
const DIODE = { data: "diode-outdoor:DIR", micro: "scenes-outdoor" };

function row(
  label: string,
  method: string,
  time: number | undefined,
  mean: number,
  deviation: number | undefined,
  memory: number | undefined,
  parameters: string,
): PaperRow {
  return { label, method, time, mean, deviation, memory, parameters };
}

/** Tables by name. */
export const paperTables: Readonly<Record<string, PaperTable>> = {
  S2: {
    title: "Depth Anything, KITTI to NYU (Table 2, Figure 2a)",
    experiment: "depth",
    ...NYU,
    first: KITTI,
    rows: [
      row("MoRA1", "mora1", 69, 0.248, 0.00021, 36, "220.06K"),
      row("MoRA6", "mora6", 73, 0.277, 0.00066, 36, "217.44K"),
      row("BitFit", "bitfit", 64, 0.349, 0.00073, 40, "221.18K"),
      row("DiffFit", "difffit", 78, 0.314, 0.00078, 40, "321.54K"),
      row("LoRA", "lora", 71, 0.25, 0.00087, 41, "393.22K"),
      row("VeRA", "vera", 69, 0.244, 0.00059, 40, "221.28K"),
      row("DoRA", "dora", 104, 0.249, 0.00088, 54, "614.40K"),
      row("1LoRA", "1lora", 65, 0.238, 0.0005, 36, "221.18K"),
      row("All", "all", 83, 0.211, 0.00064, 56, "335.32M"),
    ],
  },
  S3: {
    title: "Depth Anything, NYU to KITTI (Table 2, Figure 2b)",
    experiment: "depth",
    ...KITTI,
    first: NYU,
    rows: [
      row("MoRA1", "mora1", 67, 2.509, 0.00455, 36, "220.06K"),
      row("MoRA6", "mora6", 71, 2.97, 0.00328, 36, "217.44K"),
      row("BitFit", "bitfit", 61, 4.806, 0.00392, 40, "221.18K"),
      row("DiffFit", "difffit", 66, 3.904, 0.00539, 40, "321.54K"),
      row("LoRA", "lora", 66, 2.253, 0.00315, 41, "393.22K"),
      row("VeRA", "vera", 68, 2.304, 0.00524, 40, "221.28K"),
      row("DoRA", "dora", 100, 2.346, 0.00275, 54, "614.40K"),
      row("1LoRA", "1lora", 63, 2.203, 0.0078, 36, "221.18K"),
      row("All", "all", 85, 1.916, 0.00303, 56, "335.32M"),
    ],
  },
  S4: {
    title: "Depth Anything, KITTI to DIODE outdoor (Figure 2c)",
    experiment: "depth",
    ...DIODE,
    first: KITTI,
    rows: [
      row("MoRA1", "mora1", 52, 4.704, 0.01546, 36, "220.06K"),
      row("MoRA6", "mora6", 14, 4.637, 0.00449, 36, "217.44K"),
      row("BitFit", "bitfit", 47, 5.158, 0.00868, 40, "221.18K"),
      row("DiffFit", "difffit", 50, 4.955, 0.0064, 40, "321.54K"),
      row("LoRA", "lora", 51, 4.612, 0.00368, 41, "393.22K"),
      row("VeRA", "vera", 24, 4.797, 0.0181, 40, "221.28K"),
      row("DoRA", "dora", 74, 4.644, 0.00405, 54, "614.40K"),
      row("1LoRA", "1lora", 13, 4.574, 0.1217, 36, "221.18K"),
      row("All", "all", 55, 4.59, 0.0784, 56, "335.32M"),
    ],
  },
  S5: {
    title: "Depth Anything, NYU to DIODE outdoor (Figure 2d)",
    experiment: "depth",
    ...DIODE,
    first: NYU,
    rows: [
      row("MoRA1", "mora1", 51, 5.067, 0.02273, 36, "220.06K"),
      row("MoRA6", "mora6", 54, 6.242, 0.0141, 36, "217.44K"),
      row("BitFit", "bitfit", 47, 7.698, 0.00293, 40, "221.18K"),
      row("DiffFit", "difffit", 50, 7.017, 0.00998, 40, "321.54K"),
      row("LoRA", "lora", 67, 4.94, 0.00776, 41, "393.22K"),
      row("VeRA", "vera", 51, 4.839, 0.01025, 40, "221.28K"),
      row("DoRA", "dora", 75, 4.918, 0.00949, 54, "614.40K"),
      row("1LoRA", "1lora", 42, 4.719, 0.066, 36, "221.18K"),
      row("All", "all", 61, 4.53, 0.0278, 56, "335.32M"),
    ],
  },
  S6: {
    title: "LLaMA-2 7b, MetaMath (Figure 3)",
    experiment: "reasoning-7b",
    data: "metamath:FILE",
    micro: "word-problems-b",
    rows: [
      row("MoRA1", "mora1", 187, 0.18, 0.000724, 80, "1.36M"),
      row("MoRA6", "mora6", 198, 0.19, 6.6e-5, 91, "1.35M"),
      row("BitFit", "bitfit", 130, 0.22, 0.0047, 75, "1.36M"),
      row("DiffFit", "difffit", 132, 0.21, 0.00411, 77, "1.66M"),
      row("LoRA", "lora", 154, 0.15, 0.00202, 93, "2.50M"),
      row("VeRA", "vera", 159, 0.176, 0.00192, 92, "1.36M"),
      row("1LoRA", "1lora", 152, 0.17, 0.003768, 76, "1.36M"),
      row("LoRA (QKV)", "lora@qkv", 134, 0.2, 0.002273, 79, "786.43K"),
    ],
  },
  S7: {
    title: "LLaMA-2 13b, MetaMath (Figure 4)",
    experiment: "reasoning-13b",
    data: "metamath:FILE",
    micro: "word-problems-b",
    rows: [
      row("BitFit", "bitfit", 66, 0.19, 0.001738, 91, "2.13M"),
      row("DiffFit", "difffit", 71, 0.18, 0.003334, 93, "2.58M"),
      row("1LoRA", "1lora", 77, 0.14, 0.00152, 92, "2.13M"),
      row("LoRA (QKV)", "lora@qkv", 61, 0.17, 0.005107, 92, "1.23M"),
    ],
  },
  S8: {
    title: "DiT-XL/2 256, Food-101 (Figure 5)",
    experiment: "generation",
    data: "food101:DIR",
    micro: "mnist",
    rows: [
      row("MoRA1", "mora1", 9.6, 13.9004, undefined, 67, "604.41K"),
      row("MoRA6", "mora6", 23.5, 14.0791, undefined, 87, "596.52K"),
      row("BitFit", "bitfit", 13.0, 13.8074, undefined, 66, "603.68K"),
      row("DiffFit", "difffit", 14.3, 13.6644, undefined, 87, "1.09M"),
      row("LoRA", "lora", 19.5, 13.7621, undefined, 79, "864.03K"),
      row("VeRA", "vera", 12.0, 13.1129, undefined, 87, "603.82K"),
      row("1LoRA", "1lora", 17.0, 12.8218, undefined, 65, "603.68K"),
    ],
  },
  S9: {
    title: "ViT-B/16, CIFAR-10 (Figure 6)",
    experiment: "classification",
    data: "cifar10:DIR",
    micro: "mnist",
    rows: [
      // Section 4.4 has this figure in its text.
      row("head only", "head", undefined, 90, undefined, undefined, "0.00K"),
      row("MoRA1", "mora1", 30, 96.55, 0.0465, 6, "333.36K"),
      row("MoRA6", "mora6", 31, 97.5, 0.0544, 6, "328.13K"),
      row("BitFit", "bitfit", 16, 97.0, 0.055, 6, "331.78K"),
      row("DiffFit", "difffit", 18, 97.9, 0.0585, 8, "817.15K"),
      row("LoRA", "lora", 33, 98.1, 0.058, 7, "663.55K"),
      row("VeRA", "vera", 29, 97.7, 0.1631, 8, "332.06K"),
      row("DoRA", "dora", 51, 98.2, 0.0866, 11, "995.33K"),
      row("1LoRA", "1lora", 17, 97.7, 0.186, 6, "331.78K"),
      row("1LoRA (norms)", "1lora+norms", 18, 98.0, 0.1397, 6, "485.38K"),
      row("All", "all", 22, 98.3, 0.0755, 10, "343.19M"),
    ],
  },
  S10: {
    title: "ViT-B/16, CIFAR-100 (Figure 7)",
    experiment: "classification",
    data: "cifar100:DIR",
    micro: "fashion-mnist",
    rows: [
      // Section 4.4 has this figure in its text.
      row("head only", "head", undefined, 66, undefined, undefined, "0.00K"),
      row("MoRA1", "mora1", 31, 82.7, 0.3253, 6, "333.36K"),
      row("MoRA6", "mora6", 30, 81.2, 0.1875, 6, "328.13K"),
      row("BitFit", "bitfit", 16, 83.0, 0.204, 6, "331.78K"),
      row("DiffFit", "difffit", 18, 87.9, 0.0775, 8, "817.15K"),
      row("LoRA", "lora", 34, 88.4, 0.2173, 7, "663.55K"),
      row("VeRA", "vera", 29, 85.3, 0.1723, 8, "332.06K"),
      row("DoRA", "dora", 50, 87.3, 0.2245, 11, "995.33K"),
      row("1LoRA", "1lora", 17, 85.0, 0.567, 6, "331.78K"),
      row("1LoRA (norms)", "1lora+norms", 18, 88.2, 0.314, 6, "485.38K"),
      row("All", "all", 22, 90.9, 0.3251, 10, "343.19M"),
    ],
  },
  // Its caption says KITTI to NYU; its figures are those of Table S3, NYU to KITTI.
  S11: {
    title: "Depth Anything, parts and combinations, NYU to KITTI (Figure 10)",
    experiment: "depth",
    ...KITTI,
    first: NYU,
    rows: [
      row("norms", "norms", 65, 13.25, 0.004751, 36, "100.35K"),
      row("β (BitFit)", "bitfit", 61, 4.806, 0.003922, 40, "221.18K"),
      row("γ", "scale", 68, 4.17, 0.00482, 41, "221.18K"),
      row("DiffFit", "difffit", 66, 3.904, 0.00539, 40, "321.54K"),
      row("1LoRA", "1lora", 63, 2.203, 0.0078, 36, "221.18K"),
      row("1LoRA (β)", "1lora+bias", 54, 2.203, 0.005498, 36, "442.37K"),
      row("1LoRA (norms)", "1lora+norms", 54, 2.19, 0.00655, 36, "321.54K"),
      row("1LoRA (γ)", "1lora+scale", 63, 12.399, 0.006093, 41, "442.37K"),
      row("1LoRA (β, norms)", "1lora+bias+norms", 67, 2.2, 0.0051438, 36, "542.72K"),
      row("1LoRA (β, γ)", "1lora+bias+scale", 65, 4.166, 0.008069, 40, "663.55K"),
      row("1LoRA (γ, norms)", "1lora+scale+norms", 73, 2.206, 0.001668, 41, "542.72K"),
      row("1LoRA (β, γ, norms)", "1lora+bias+scale+norms", 75, 2.206, 0.002445, 40, "763.90K"),
    ],
  },
  S12: {
    title: "ViT-B/16, parts and combinations, CIFAR-10 (Figure 8)",
    experiment: "classification",
    data: "cifar10:DIR",
    micro: "mnist",
    rows: [
      row("norms", "norms", 16, 97.7, 0.0395, 6, "153.60K"),
      row("β (BitFit)", "bitfit", 16, 97.0, 0.055, 6, "331.78K"),
      row("γ", "scale", 17, 97.3, 0.0457, 8, "331.78K"),
      row("DiffFit", "difffit", 18, 97.9, 0.0585, 8, "817.15K"),
      row("1LoRA", "1lora", 17, 97.7, 0.186, 6, "331.78K"),
      row("1LoRA (β)", "1lora+bias", 18, 97.8, 0.1245, 6, "663.55K"),
      row("1LoRA (norms)", "1lora+norms", 18, 98.0, 0.139, 6, "485.38K"),
      row("1LoRA (γ)", "1lora+scale", 19, 97.8, 0.1043, 8, "663.55K"),
      row("1LoRA (β, norms)", "1lora+bias+norms", 19, 97.9, 0.078, 6, "817.15K"),
      row("1LoRA (β, γ)", "1lora+bias+scale", 21, 97.8, 0.1297, 6, "995.33K"),
      row("1LoRA (γ, norms)", "1lora+scale+norms", 20, 98.0, 0.0837, 8, "817.15K"),
      row("1LoRA (β, γ, norms)", "1lora+bias+scale+norms", 22, 98.0, 0.109, 8, "1.15M"),
    ],
  },
};

/** Tables by other names that the paper has for them: those of the figures that show them, in small letters. */
export const paperAliases: Readonly<Record<string, string>> = {
  ...{ s1: "S1", figure11: "S9" },
  ...Object.fromEntries(
    Object.entries(paperTables).flatMap(([name, { title }]) => {
      const [, figure] = /Figure (\w+)\)$/.exec(title) ?? [];
      return [[name.toLowerCase(), name], [`figure${figure}`, name]];
    }),
  ),
};

/** A transfer of Table S1, which has neither memory nor parameters: time and error of summation and of a random vector. */
function transfer(
  title: string,
  target: Pick<PaperTable, "data" | "micro">,
  first: PaperTable["first"],
  [summed, random]: readonly (readonly [time: number, mean: number, deviation: number])[],
): PaperTable {
  const rows = [
    row("summation", "1lora", ...summed, undefined, "-"),
    row("random", "1lora-random", ...random, undefined, "-"),
  ];
  return {
    title: `Depth Anything, summation and random compression, ${title}`,
    experiment: "depth",
    ...target,
    first,
    rows,
  };
}

/** Table S1 of the paper (Appendix B.2), a table for each of its transfers, in its order. */
export const compressionTables: Readonly<Record<string, PaperTable>> = {
  "S1-NYU-KITTI": transfer("NYU to KITTI", KITTI, NYU, [[63, 2.203, 0.0078], [65, 2.239, 0.0089]]),
  "S1-KITTI-NYU": transfer("KITTI to NYU", NYU, KITTI, [[65, 0.238, 0.0005], [67, 0.24, 0.0002]]),
  "S1-KITTI-DIODE": transfer("KITTI to DIODE outdoor", DIODE, KITTI, [[13, 4.574, 0.1217], [22, 4.573, 0.0582]]),
  "S1-NYU-DIODE": transfer("NYU to DIODE outdoor", DIODE, NYU, [[42, 4.719, 0.06], [42, 4.725, 0.06]]),
};

/**
 * A table by its name.
 *
 * @param name `S2`, or of a transfer of Table S1 `S1-NYU-KITTI`
 */
export function paperTable(name: string): PaperTable {
  return paperTables[name] ?? compressionTables[name];
}
