import { assertEquals, assertMatch } from "@std/assert";
import { cudaNames, missingCuda, prepareCard } from "../../dsl/engine/tensorflow_environment.ts";
import { cudaDestination, cudaWheels } from "../../scripts/commands/native/cuda.ts";

Deno.test("of NVIDIA's wheels only libraries and what XLA compiles with are unpacked", () => {
  const cases = {
    "nvidia/cublas/lib/libcublas.so.12": "lib/libcublas.so.12",
    "nvidia/cudnn/lib/libcudnn_graph.so.9": "lib/libcudnn_graph.so.9",
    "nvidia/cuda_nvcc/bin/ptxas": "bin/ptxas",
    "nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc": "nvvm/libdevice/libdevice.10.bc",
    "nvidia/cublas/include/cublas.h": undefined,
    "nvidia/cublas/lib/../../../libcublas.so.12": undefined,
    "nvidia_cublas_cu12-12.9.3.13.dist-info/RECORD": undefined,
  };
  for (const [member, expected] of Object.entries(cases)) assertEquals(cudaDestination(member), expected, member);
  for (const [project, version, sha256] of cudaWheels) {
    assertMatch(`${project} ${version} ${sha256}`, /^nvidia-[a-z-]+-cu12 [\d.]+ [0-9a-f]{64}$/);
  }
});

Deno.test("a library of CUDA is missing unless it lies beside TensorFlow or where the system keeps it", async () => {
  const [folder, system] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    assertEquals(missingCuda(folder, [system]), cudaNames);
    await Deno.mkdir(`${folder}/cuda/lib`, { recursive: true });
    await Deno.writeTextFile(`${folder}/cuda/lib/${cudaNames[0]}`, "");
    for (const name of cudaNames.slice(2)) await Deno.writeTextFile(`${system}/${name}`, "");
    assertEquals(missingCuda(folder, [system]), [cudaNames[1]]);
  } finally {
    for (const each of [folder, system]) await Deno.remove(each, { recursive: true });
  }
});

Deno.test("a card is prepared for: flags are added, libraries loaded in whatever order they need each other", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/cuda/lib`, { recursive: true });
    await Deno.mkdir(`${folder}/cuda/nvvm`);
    for (const name of ["a", "b", "c"]) await Deno.writeTextFile(`${folder}/cuda/lib/${name}.so.1`, "");
    const [said, loaded]: [string[], string[]] = [[], []];
    const needs: Record<string, string> = { a: "c", b: "a" };
    prepareCard(
      {
        setDefault: (name, value) => said.push(`${name}=${value}`),
        addFlag: (name, flag) => said.push(`${name} ${flag.split("=")[0]}`),
        preload: (path) => {
          const name = path.split("/").at(-1)![0];
          if (needs[name] !== undefined && !loaded.includes(needs[name])) return false;
          loaded.push(name);
          return true;
        },
        load: () => {},
      },
      folder,
      { version: "2.21.0", cuda: true },
    );
    assertEquals(loaded, ["c", "a", "b"]);
    assertEquals(said.slice(0, 3), [
      "TF_FORCE_GPU_ALLOW_GROWTH=true",
      // oneDNN's kernels, which a card has not, stay out of graphs.
      "TF_ENABLE_ONEDNN_OPTS=0",
      "XLA_FLAGS --xla_gpu_cuda_data_dir",
    ]);
    said.length = 0;
    const noting = {
      setDefault: (name: string) => said.push(name),
      addFlag: () => {},
      preload: () => true,
      load: () => {},
    };
    // The library for CPUs keeps them, on a machine with a card too.
    prepareCard(noting, folder, { version: "2.21.0", cuda: false });
    assertEquals(said, ["TF_FORCE_GPU_ALLOW_GROWTH"]);
    said.length = 0;
    // An older library would end the process over a flag that it does not know.
    prepareCard(
      { setDefault: () => {}, addFlag: (name) => said.push(name), preload: () => true, load: () => {} },
      folder,
      { version: "2.9.1", cuda: true },
    );
    assertEquals(said, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
