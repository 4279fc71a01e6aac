#!/usr/bin/env bash
# On a machine with an NVIDIA driver and PyTorch, in the root of a copy of the checkout:
#
#     unpack.sh keep PIECE     keeps a piece that pack.sh made, in $PIECES (default /tmp/onelora-pieces), under its number
#     unpack.sh all            puts all pieces together
#     unpack.sh run COMMAND..  runs a command with the environment set: deno, the libraries of CUDA under CUDA 12's names
#
# $ZSTD names zstd where it is not installed.
set -euo pipefail
pieces=${PIECES:-/tmp/onelora-pieces}
app="$pieces/app"
case "${1:-}" in
keep)
  mkdir -p "$pieces"
  cp "$2/part" "$pieces/$(printf %02d "$(basename "$2")")"
  ;;
all)
  mkdir -p "$app/cuda"
  cat "$pieces"/[0-9][0-9] | "${ZSTD:-zstd}" --long=27 -dcq | tar xf - -C "$app"
  mkdir -p "$app/native/tensorflow/deps/lib"
  mv "$app"/library/libtensorflow_* "$app/native/tensorflow/deps/lib/"
  mv "$app/library/libcudart.so.12" "$app/cuda/"
  sed -i 's/"cuda": false/"cuda": true/' "$app/native/tensorflow/installed.json"
  # CUDA 13's libraries do under CUDA 12's names.
  site=$(python3 -c 'import site; print(site.getsitepackages()[0])')
  find "$site/nvidia" /usr/local/cuda/lib64 /usr/local/cuda/targets -name '*.so*' 2>/dev/null >"$app/found" || true
  for pair in cublas:12 cublasLt:12 cufft:11 cusolver:11 cusparse:12 cudnn:9 nccl:2 cupti:12; do
    path=$(grep -E "/lib${pair%:*}\.so\.[0-9]+$" "$app/found" | head -n 1 || true)
    if [ -n "$path" ]; then ln -sf "$path" "$app/cuda/lib${pair%:*}.so.${pair#*:}"; else echo "no lib${pair%:*} found"; fi
  done
  sed 's#/[^/]*$##' "$app/found" | sort -u | tr '\n' ':' >"$app/folders"
  gcc -O2 -shared -fPIC -o "$app/kernels.so" scripts/tools/gpu/kernels.c -ldl -lpthread
  ;;
run)
  shift
  [ -e .native ] || ln -s "$app/native" .native
  export PATH="$app:$PATH" DENO_DIR="$app/packages" DENO_NO_UPDATE_CHECK=1
  LD_LIBRARY_PATH="$app/cuda:$(cat "$app/folders")"
  export LD_LIBRARY_PATH XLA_FLAGS="--xla_gpu_cuda_data_dir=/usr/local/cuda ${XLA_FLAGS:-}"
  exec "$@"
  ;;
*)
  echo "unpack.sh keep PIECE | all | run COMMAND..." >&2
  exit 2
  ;;
esac
