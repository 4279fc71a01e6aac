import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { denoCommand, taskArguments, type TaskName } from "../scripts/cli/deno.ts";
import { nvidia, nvidiaLibraries } from "../dsl/engine/nvidia.ts";
import { OneloraError } from "../dsl/mod.ts";
import { decodeImage, decodeSixteen } from "../tasks/data/decode.ts";
import { decoderApart } from "../tasks/data/decode_apart.ts";
import { loadSharp } from "../tasks/data/sharp.ts";
import { holdThreads } from "../tasks/data/threads.ts";

const { tasks }: { readonly tasks: Readonly<Record<string, { readonly command: string }>> } = JSON.parse(
  await Deno.readTextFile("deno.json"),
);

/** A flag's values in a command; undefined where it is not there, empty where it has none. */
function values(command: string, flag: string): readonly string[] | undefined {
  const word = command.split(" ").find((each) => each === `--${flag}` || each.startsWith(`--${flag}=`));
  return word === undefined ? undefined : word.split("=").slice(1).join("=").split(",").filter((each) => each !== "");
}

/** What a command may do, in the table's words. */
function row(name: string, command: string): readonly string[] {
  const [write, denied, net, env, ffi, run, sys] = ["write", "", "net", "env", "ffi", "run", "sys"].map((kind) =>
    values(command, kind === "" ? "deny-write" : `allow-${kind}`)
  );
  const code = ["dsl", "adapters", "tasks", "scripts", "tests", "mod.ts", "deno.json", "deno.lock", "on_demand.lock"];
  if (write?.length === 0) {
    for (const path of [...code, ".native", ".git"]) assert(denied?.includes(path), `${name} ${path}`);
  }
  const writes = write === undefined
    ? "-"
    : write.length > 0
    ? write.map((path) => `\`${path}\``).join(", ")
    : denied!.includes("models")
    ? "files, no code"
    : "files, no code but `models`";
  const variables = [
    ...env?.includes("HF_HOME") ? ["hub"] : [],
    ...env?.includes("PIP_INDEX_URL") ? ["registries"] : [],
    ...env?.includes("TF_CPP_MIN_LOG_LEVEL") ? ["TensorFlow"] : [],
    ...env?.includes("PMI_RANK") ? ["launchers"] : [],
    ...env?.includes("SLURM_ARRAY_TASK_ID") ? ["job arrays"] : [],
    ...env?.includes("WANDB_API_KEY") ? ["loggers"] : [],
    ...env?.includes("DENO_DIR") ? ["cache"] : [],
  ];
  const native = ffi === undefined ? "-" : name === "native" ? "`.native`" : [
    "library",
    ...ffi.some((path) => path.endsWith("/npm")) ? ["pictures"] : [],
    ...ffi.some((path) => path.includes("libmpi")) ? ["MPI"] : [],
    ...nvidiaLibraries.every((path) => ffi.includes(path)) ? ["driver"] : [],
  ].join(", ");
  assert(ffi === undefined || ffi[0] === ".native", `${name} loads native code of anywhere`);
  return [
    `\`${name}\``,
    values(command, "allow-read")?.length === 0 ? "files" : "-",
    writes,
    net === undefined
      ? "-"
      : net.includes("127.0.0.1")
      ? "this machine"
      : net.includes("pypi.org")
      ? "registries"
      : "hub",
    env === undefined ? "-" : variables.length === 0 ? "debug" : variables.join(", "),
    native,
    run?.map((each) => `\`${each}\``).join(", ") ?? "-",
    sys?.join(", ") ?? "-",
  ];
}

Deno.test("the table of permissions is what deno.json gives", async () => {
  const table = (await Deno.readTextFile("docs/permissions.md")).split("\n").filter((line) => /^\| `/.test(line))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const given = Object.keys(tasks).map((name) => row(name, taskArguments(name as TaskName).join(" ")));
  const byName = (rows: readonly (readonly string[])[]) => rows.toSorted(([a], [b]) => a < b ? -1 : 1);
  assertEquals(byName(table), byName(given));
});

Deno.test("the wasm backend trains on built-in data without native code, network and environment", async () => {
  const out = await Deno.makeTempDir();
  try {
    const { code, stderr } = await new Deno.Command(await denoCommand(), {
      args: [
        ...["run", "--no-prompt", "--unstable-npm-lazy-caching", "--lock=on_demand.lock", "--frozen", "--ignore-env"],
        ...["--allow-read", `--allow-write=${out}`],
        ...["scripts/commands/train.ts", "--backend", "wasm", "--steps", "2", "--limit", "32", "--out", `${out}/run`],
      ],
    }).output();
    const err = new TextDecoder().decode(stderr);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(await Deno.readTextFile(`${out}/run/report.html`), "vit-micro");
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("a command cannot write over code, locks and the native library", async () => {
  const paths = ["dsl/mod.ts", "deno.lock", "on_demand.lock", ".native/x", "scripts/commands/train.ts"];
  const folder = await Deno.makeTempDir();
  try {
    const tries = `for (const path of ${JSON.stringify(paths)}) {
      try {
        Deno.writeTextFileSync(path, "theirs");
        console.log("written");
      } catch ({ name, message }) {
        console.log(name, message);
      }
    }`;
    await Deno.writeTextFile(`${folder}/write.js`, tries);
    const { stdout, stderr } = await new Deno.Command(await denoCommand(), {
      args: ["run", "--no-prompt", "--config=deno.json", ...taskArguments("evaluate"), `${folder}/write.js`],
    }).output();
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    assertEquals(lines.length, paths.length, new TextDecoder().decode(stderr));
    for (const line of lines) assertStringIncludes(line, "NotCapable Requires write access");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a thread that prepares examples reads its data and decodes pictures, and may do nothing else", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/data`);
    await Deno.writeTextFile(`${folder}/data/file`, "ours");
    await Deno.writeTextFile(`${folder}/outside`, "secret");
    const { stdout, stderr } = await new Deno.Command(await denoCommand(), {
      args: [
        ...["run", "--no-prompt", ...taskArguments("train"), "tests/support/tries.ts"],
        ...[`${folder}/data`, `${folder}/outside`],
      ],
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    const refused = ["outside", "list", "write", "net", "run", "library", "host"];
    assertEquals(out === "" ? err : JSON.parse(out), {
      inside: "ours",
      pictures: "function",
      ...Object.fromEntries(refused.map((name) => [name, "NotCapable"])),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("while threads are held, pictures are decoded by one that reads no files, to the same values", async () => {
  const names = ["grey.png", "palette.png", "4.bmp", "animated.gif"].map((name) => `tests/fixtures/pictures/${name}`);
  const sixteen = "tests/fixtures/pictures/grey16.png";
  const sharp = await loadSharp();
  const all = async () => [
    ...await Promise.all(names.map((name) => decodeImage(sharp, name, name))),
    await decodeSixteen(sharp, sixteen),
  ];
  const here = await all();
  using _threads = holdThreads();
  assert(decoderApart() !== undefined);
  assertEquals(await all(), here);
  await assertRejects(
    () => decodeImage(sharp, new TextEncoder().encode("<svg></svg>"), "it"),
    OneloraError,
    "decoding it: found an SVG drawing",
  );
});

Deno.test("a card is asked for what it has with the permission for its driver's library alone", () => {
  assertEquals(nvidia(["/nowhere/libnvidia-ml.so.1"]), undefined);
  for (const name of ["train", "doctor"] as const) {
    const given = taskArguments(name).find((each) => each.startsWith("--allow-ffi="))!.slice("--allow-ffi=".length)
      .split(",");
    assertEquals(nvidiaLibraries.filter((path) => !given.includes(path)), []);
  }
});
