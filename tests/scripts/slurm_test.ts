import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { tried } from "../support/commands.ts";

const commands = ["slurmctld", "slurmd", "sbatch", "srun", "mpirun.mpich"];
const missing: string[] = [];
// Without a configuration, Slurm's end with an error.
for (const command of commands) if (await tried(command) === undefined) missing.push(command);
// The daemons start jobs of any user, so that they are the system's; a file of one's own says who one is.
const file = await Deno.makeTempFile();
const isRoot = (await Deno.stat(file)).uid === 0;
await Deno.remove(file);
const ignore = missing.length > 0 || !isRoot;
if (ignore) console.log(`not tested: Slurm, for want of ${[...missing, ...(isRoot ? [] : ["root"])].join(", ")}`);

/** A cluster of this machine alone, in a folder of its own. */
async function cluster(folder: string) {
  const host = (await Deno.readTextFile("/etc/hostname")).trim();
  const port = () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return listener.addr.port;
  };
  for (const name of ["state", "spool"]) await Deno.mkdir(`${folder}/${name}`);
  const settings = {
    ClusterName: "one",
    SlurmctldHost: `${host}(127.0.0.1)`,
    SlurmctldPort: port(),
    SlurmdPort: port(),
    SlurmUser: "root",
    SlurmdUser: "root",
    AuthType: "auth/none",
    CredType: "cred/none",
    StateSaveLocation: `${folder}/state`,
    SlurmdSpoolDir: `${folder}/spool`,
    SlurmctldPidFile: `${folder}/slurmctld.pid`,
    SlurmdPidFile: `${folder}/slurmd.pid`,
    ProctrackType: "proctrack/linuxproc",
    TaskPlugin: "task/none",
    SelectType: "select/cons_tres",
    SelectTypeParameters: "CR_CPU",
    MpiDefault: "none",
    JobAcctGatherType: "jobacct_gather/none",
    AccountingStorageType: "accounting_storage/none",
    // Jobs start when they come, without pauses for others to come along.
    SchedulerParameters: "sched_min_interval=0,batch_sched_delay=0,bf_interval=1,sched_interval=1",
    SlurmdParameters: "config_overrides",
  };
  const file = `${folder}/slurm.conf`;
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  lines.push(`NodeName=${host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN`, `PartitionName=all Nodes=${host} Default=YES`);
  await Deno.writeTextFile(file, `${lines.join("\n")}\n`);
  const env = { SLURM_CONF: file, SCRATCH: folder, NO_COLOR: "1" };
  const daemons = ["slurmctld", "slurmd"].map((name) =>
    new Deno.Command(name, { args: ["-D"], env, stdin: "null", stdout: "null", stderr: "null" }).spawn()
  );
  return {
    run: async (command: string, ...args: readonly string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], env, stdin: "null" })
        .output();
      return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
    },
    end: async () => {
      for (const daemon of daemons) daemon.kill("SIGTERM");
      await Promise.all(daemons.map(({ status }) => status));
    },
  };
}

/** The page's scripts of Slurm. */
async function scripts(): Promise<readonly [workers: string, submission: string]> {
  const page = await Deno.readTextFile("docs/processes.md");
  const found = [...page.matchAll(/```sh\n([^`]*)```/g)].map(([, text]) => text);
  const workers = found.find((text) => text.startsWith("#!/bin/bash\n#SBATCH"));
  const submission = found.find((text) => text.includes("sbatch --parsable"));
  assert(workers !== undefined && submission !== undefined);
  return [workers, submission];
}

/** A text with others in place of what it must contain. */
function replaced(text: string, parts: Readonly<Record<string, string>>): string {
  for (const [from, to] of Object.entries(parts)) {
    assertStringIncludes(text, from);
    text = text.replace(from, to);
  }
  return text;
}

Deno.test({
  name: "Slurm: the page's job array shares out a sweep, the job after it makes the table, srun starts training",
  ignore,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    const { run, end } = await cluster(folder);
    try {
      const [workers, submission] = await scripts();
      const quick = {
        "1lora,lora,bitfit": "1lora,lora",
        "--seeds 0,1,2": "--seeds 0 --steps 1 --limit 4 --samples 0 --backend wasm --threads 1",
      };
      const file = `${folder}/workers.sh`;
      const size = { "--array=1-4": "--array=1-2", "--cpus-per-task=8": "--cpus-per-task=1" };
      await Deno.writeTextFile(file, replaced(workers, { ...quick, ...size }));
      const output = { "sbatch --parsable": `sbatch --parsable --output=${folder}/worker-%a.log` };
      // --wait: the submission ends when the job has.
      const last = { "sbatch --dependency": `sbatch --wait --output=${folder}/collect.log --dependency` };
      await Deno.writeTextFile(
        `${folder}/submit.sh`,
        `#!/bin/sh\n${replaced(submission, { ...quick, ...output, ...last, "workers.sh": file })}`,
        { mode: 0o755 },
      );
      const swept = await run("srun", "sh", `${folder}/submit.sh`);
      const logs: string[] = [];
      for (const name of ["worker-1", "worker-2", "collect"]) {
        logs.push(await Deno.readTextFile(`${folder}/${name}.log`).catch(() => "none"));
      }
      assertEquals(swept.code, 0, [swept.out, swept.err, ...logs].join("\n"));
      assertStringIncludes(await Deno.readTextFile(`${folder}/sweep/table.md`), "| 1lora ", logs.join("\n"));

      const args = [
        "train",
        "--backend",
        "wasm",
        "--threads",
        "1",
        "--steps",
        "1",
        "--limit",
        "4",
        "--batch-size",
        "2",
      ];
      const trained = await run("srun", "-n", "2", "--mpi=pmi2", "deno", "task", ...args, "--out", `${folder}/run`);
      assertEquals(trained.code, 0, trained.err);
      assertStringIncludes(trained.out, "2 processes by MPICH");
    } finally {
      await end();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
