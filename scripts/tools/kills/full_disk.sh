#!/bin/bash
# Runs on a disk that is too small, byte by byte larger, so that it is full at every place in turn: settings, log, checkpoint,
# adapter, summary, report. Each must end with one line and exit code 1, and go on to the same bytes once there is room.
#
#   unshare --user --map-root-user --mount scripts/tools/kills/full_disk.sh [PAGES] [FLAG ...]
#
# PAGES: how many pages of 4 KiB the disk grows by from try to try (default 3); flags go to train.
set -u
cd "$(dirname "$0")/../../.."
pages=${1:-3}
shift
place=$(mktemp -d)
trap 'umount "$place/disk" 2>/dev/null; rm -r "$place"' EXIT
mkdir "$place/disk"
settings=(--limit 8 --batch-size 2 --steps 6 --eval-every 2 --checkpoint-every 2 --workers 1 --backend wasm "$@")
train() { deno task --quiet train "$@" >/dev/null 2>"$place/said"; }
fault() { echo "FAULT: $*"; faults=$((faults + 1)); }

train "${settings[@]}" --out "$place/whole" || { cat "$place/said"; exit 1; }
most=$(($(du -s --block-size=4096 "$place/whole" | cut -f1) + 64))
faults=0 tries=0 fits=0
for ((size = 1; fits < 2 && size < most * 2; size += pages)); do
  mount -t tmpfs -o "size=$((size * 4096))" tmpfs "$place/disk" || exit 1
  run=$place/disk/run
  train "${settings[@]}" --out "$run"
  code=$?
  errors=$(grep -c '^error: ' "$place/said")
  if ((code == 0)); then
    fits=$((fits + 1)) where="fits"
  else
    tries=$((tries + 1))
    where=$(sed -n 's/^error: //p' "$place/said" | sed "s|$place/disk/||g" | sed 's/\.onelora-[^ ]*/TEMPORARY/')
    ((code == 1 && errors == 1)) || fault "$((size * 4)) KiB: exit code $code, $errors errors: $(cat "$place/said")"
    grep -qE 'unexpected|panicked|Uncaught' "$place/said" && fault "$((size * 4)) KiB: $where"
  fi
  echo "$((size * 4)) KiB: $where"
  mount -o "remount,size=64m" "$place/disk" || exit 1
  if [[ -f $run/config.json ]]; then again=(--resume "$run"); else again=("${settings[@]}" --out "$run"); fi
  train "${again[@]}" || fault "$((size * 4)) KiB, with room: $(cat "$place/said")"
  deno run --quiet --allow-read scripts/tools/kills/compare.ts "$run" "$place/whole" || fault "$((size * 4)) KiB: other bytes"
  umount "$place/disk"
done
echo "$tries tries with a full disk, $faults faults"
((faults == 0))
