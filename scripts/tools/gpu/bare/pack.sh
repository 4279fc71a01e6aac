#!/usr/bin/env bash
# pack.sh OUT [BYTES]: packs what a machine with an NVIDIA driver, PyTorch and no network needs to run this checkout: Deno, its
# packages, TensorFlow's CUDA library (for compute capability 9.0, or $CARD), CUDA's runtime, the addon. It becomes pieces of BYTES
# each (default 41,000,000), OUT/0/part and so on, for transfers that may not be larger; unpack.sh puts them together there, in a
# copy of this checkout. Needs `deno task native`, pip, zstd, binutils; downloads 600 MB the first time (kept in OUT/library).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../../.."
out=$(realpath -m "$1")
bytes=${2:-41000000}
[ -f .native/tensorflow/lib/napi-v8/tfjs_binding.node ] || { echo "error: packing: no addon found, run deno task native" >&2; exit 1; }
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

library="$out/library"
if [ ! -f "$library/libtensorflow_cc.so.2" ]; then
  wheels="$work/wheels"
  pip download -q --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_27_x86_64 -d "$wheels" tensorflow==2.21.0
  pip download -q --no-deps --only-binary=:all: --platform manylinux2014_x86_64 -d "$wheels" nvidia-cuda-runtime-cu12==12.9.79
  mkdir -p "$work/library"
  unzip -q -j "$wheels"/tensorflow-*.whl 'tensorflow/libtensorflow_*.so.2' -d "$work/library"
  unzip -q -j "$wheels"/nvidia_cuda_runtime*.whl '*/libcudart.so.12' -d "$work/library"
  for each in "$work"/library/libtensorflow_*; do
    python3 "$here/keep_card.py" "$each" "${CARD:-90}"
    strip --strip-all "$each"
  done
  mv "$work/library" "$library"
fi

cp "$(deno eval 'console.log(Deno.execPath())')" "$work/deno"
mkdir "$work/native"
tar cf - --exclude='deps/lib/*' -C .native tensorflow | tar xf - -C "$work/native"
export DENO_DIR="$work/packages"
deno install --quiet --frozen --entrypoint scripts/tools/gpu.ts scripts/tools/gpu/ours.ts scripts/tools/gpu/built_in.ts
# What commands fetch when they need it: each is run once, shortly.
for task in image-classification depth reasoning generation; do
  deno task --quiet train --task "$task" --steps 1 --backend wasm --out "$work/runs/$task" >/dev/null
done
rm -rf "$work/runs" "$work/wheels"
find "$DENO_DIR" -name '*.map' -delete
rm -rf "$out"/[0-9]*
tar cf - -C "$work" deno native packages -C "$out" library | zstd -T0 -12 --long=27 -q | split -b "$bytes" -d -a 2 - "$work/piece."
for piece in "$work"/piece.*; do
  number=$((10#${piece##*.}))
  mkdir -p "$out/$number"
  mv "$piece" "$out/$number/part"
done
ls -l "$out"/*/part
