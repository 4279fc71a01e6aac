"""What XLA plans for a step on an H100, without one: kernels, what they take at the card's limits (roofline.ts), and memory.

    XLA_FLAGS="--xla_dump_to=DUMP --xla_dump_hlo_as_proto" deno run -A scripts/tools/gpu/ours.ts JOB
    JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1 JAX_PLATFORMS=cpu python plan.py DUMP/module_..before_optimizations.hlo.pb OUT

JOB is a CardJob of job.ts as JSON; DUMP also comes of a step on the CPU. Needs jax and jaxlib 0.9.0, jax-cuda12-plugin and
jax-cuda12-pjrt 0.9.0 (without their dependencies), nvidia-cuda-nvcc-cu12 and nvidia-cuda-runtime-cu12. Nothing is tuned, since that
takes a card: which kernel multiplies matrices may differ there.
"""

import os
import subprocess
import sys

hlo, out = sys.argv[1:3]
flags = ["--xla_gpu_autotune_level=0", f"--xla_dump_to={out}", "--xla_dump_hlo_as_text", *sys.argv[3:]]
os.environ["XLA_FLAGS"] = " ".join(flags)

from jax._src.interpreters import mlir as lowering
from jax._src.lib import _jax, xla_client
from jax._src.lib.mlir import ir
from jax.experimental import topologies

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def module_of(raw):
    """Field 1 of an HloProto."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        if number() >> 3 == 1:
            length = number()
            return raw[at : at + length]
        at += number()
    raise ValueError("no module")


device = topologies.get_topology_desc("one", "cuda", target_config=H100, topology="1x1x1").devices[0]
with open(hlo, "rb") as file:
    # TensorFlow copies what is written into a variable's memory. The importer takes no copies; a real number's real part is as well it.
    module = module_of(file.read()).replace(b"\x12\x04copy", b"\x12\x04real")
text = _jax.mlir.xla_computation_to_mlir_module(xla_client.XlaComputation(module))
with lowering.make_ir_context():
    parsed = ir.Module.parse(text)
device.client.compile(parsed, xla_client.DeviceList((device,)), xla_client.CompileOptions())

table = os.path.join(os.path.dirname(os.path.abspath(__file__)), "roofline.ts")
subprocess.run(["deno", "run", "--no-prompt", f"--allow-read={out}", table, out], check=True)
