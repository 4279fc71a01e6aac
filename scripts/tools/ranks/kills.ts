/**
 * Kills a random process of several that train together, at a random moment: nothing may stay behind, and a run that goes on
 * must end with the bytes of one that nobody disturbed. `deno run -P=sweep --allow-run --allow-write=/tmp
 * scripts/tools/ranks/kills.ts [kills] [seed]`; needs Open MPI and MPICH.
 *
 * @module
 */
import { denoCommand, taskArguments } from "../../cli/deno.ts";
import { chances } from "../fuzz/mutate.ts";
import { differences } from "../kills/same.ts";

const [kills, seed] = [Number(Deno.args[0] ?? 20), Number(Deno.args[1] ?? 0)];
const root = new URL("../../../", import.meta.url);
const launchers = [
  { name: "Open MPI", command: "mpirun.openmpi", args: ["--oversubscribe"], rank: "OMPI_COMM_WORLD_RANK" },
  { name: "MPICH", command: "mpirun.mpich", args: [], rank: "PMI_RANK" },
] as const;
type Launcher = typeof launchers[number];

const folder = await Deno.makeTempDir();
const deno = await denoCommand();

/** Starts training in two processes; each leaves its number in a file. */
function start({ command, args, rank }: Launcher, ...words: readonly string[]): Deno.ChildProcess {
  const train = ["run", "--no-prompt", ...taskArguments("train"), "scripts/commands/train.ts", ...words];
  const shell = `echo $$ > ${folder}/pid-$${rank}; exec "$@"`;
  return new Deno.Command(command, {
    args: [...args, "-n", "2", "sh", "-c", shell, "sh", deno, ...train],
    cwd: root,
    env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

/** The number of a process of the job that runs; undefined before it has started. */
async function pidOf(rank: number): Promise<number | undefined> {
  const text = await Deno.readTextFile(`${folder}/pid-${rank}`).catch(() => "");
  return text === "" ? undefined : Number(text);
}

/** Whether a process is there, asked by a signal that changes nothing. */
function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const fresh = ["--backend", "wasm", "--threads", "1", "--batch-size", "6", "--limit", "40", "--steps", "60"];
const often = ["--checkpoint-every", "5", "--eval-every", "30"];

const faults: string[] = [];
let [slowest, done, late] = [0, 0, 0];
try {
  const whole = new Map<Launcher, number>();
  for (const launcher of launchers) {
    const begun = performance.now();
    await start(launcher, ...fresh, ...often, "--out", `${folder}/${launcher.command}`).status;
    whole.set(launcher, performance.now() - begun);
  }
  const chance = chances(seed);
  for (let round = 0; done < kills; round++) {
    const launcher = launchers[round % launchers.length];
    const out = `${folder}/${round}`;
    for (const rank of [0, 1]) await Deno.remove(`${folder}/pid-${rank}`).catch(() => {});
    const job = start(launcher, ...fresh, ...often, "--out", out);
    await wait(chance(Math.ceil(whole.get(launcher)!)));
    const victim = await pidOf(chance(2));
    const pids = [await pidOf(0), await pidOf(1)].filter((pid) => pid !== undefined);
    if (victim === undefined || !isAlive(victim)) {
      late++;
      await job.status;
      continue;
    }
    Deno.kill(victim, "SIGKILL");
    const killed = performance.now();
    await Promise.race([job.status, wait(20_000)]);
    while (pids.some(isAlive) && performance.now() - killed < 20_000) await wait(50);
    const seconds = (performance.now() - killed) / 1000;
    slowest = Math.max(slowest, seconds);
    if (seconds > 10) faults.push(`${round} (${launcher.name}): ${seconds.toFixed(1)} s to the end`);
    const isBegun = await Deno.stat(`${out}/config.json`).then(() => true, () => false);
    const resumed = isBegun ? ["--resume", out, "--threads", "1"] : [...fresh, ...often, "--out", out];
    const { code } = await start(launcher, ...resumed).status;
    if (code !== 0) faults.push(`${round} (${launcher.name}): going on ended with exit code ${code}`);
    else {
      const differing = await differences(out, `${folder}/${launcher.command}`);
      if (differing.length > 0) faults.push(`${round} (${launcher.name}): ${differing.join(", ")} differ`);
    }
    done++;
    console.log(`${done} kills, gone after ${seconds.toFixed(1)} s, ${faults.length} faults`);
    await Deno.remove(out, { recursive: true });
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
for (const fault of faults) console.log(fault);
console.log(`${done} kills, ${late} came too late or too early, all gone after ${slowest.toFixed(1)} s at most`);
Deno.exit(faults.length === 0 ? 0 : 1);
