#!/bin/bash
# Runs on a disk that is too small, somewhat larger from try to try, so that it is full at every place in turn: settings,
# checkpoint, adapter, log, events, summary, report. Each try must end with one line and exit code 1, and go on to the same
# bytes once there is room.
#
#   unshare --user --map-root-user --mount scripts/tools/kills/full_disk.sh [PAGES [FLAG ...]]
#
# ONELORA_BACKEND: the engine (default wasm). PAGES: how many pages of 4 KiB the disk grows by (default 2); flags go to train.
set -u
cd "$(dirname "$0")/../../.."
pages=${1:-2}
shift $(($# < 1 ? $# : 1))
place=$(mktemp -d)
trap 'umount -R "$place/disk" 2>/dev/null; rm -r "$place"' EXIT
run=$place/disk/run
mkdir "$place/disk"
settings=(--limit 8 --batch-size 2 --steps 40 --eval-every 4 --checkpoint-every 4 --workers 1 --backend "${ONELORA_BACKEND:-wasm}" "$@")
faults=0 tries=0
train() { deno task --quiet train "$@" >/dev/null 2>"$place/said"; }
fault() {
  echo "FAULT at $size pages: $*"
  faults=$((faults + 1))
}
disk() { mount -t tmpfs -o "size=$2" tmpfs "$1" || exit 1; }

# Makes the disks of a try, the small one $size pages large, and names it in $small. A checkpoint needs the most room, for its
# old and its new file: with a disk of its own the others come first.
whole() {
  small=$place/disk
  disk "$small" "$((size * 4096))"
}
folder() {
  disk "$place/disk" 64m
  mkdir "$run"
  small=$run
  disk "$small" "$((size * 4096))"
  mkdir "$run/checkpoint" "$run/adapter" "$run/pictures"
  for each in checkpoint adapter pictures; do disk "$run/$each" 64m; done
}
adapter() {
  disk "$place/disk" 64m
  mkdir -p "$run/adapter"
  small=$run/adapter
  disk "$small" "$((size * 4096))"
}

# Tries disks of a kind until a run fits.
grow() {
  for ((size = $2; ; size += pages)); do
    "$1"
    train "${settings[@]}" --out "$run"
    local code=$? errors
    errors=$(grep -c '^error: ' "$place/said")
    if ((code == 0)); then
      echo "$1, $size pages: fits"
      umount -R "$place/disk"
      return
    fi
    tries=$((tries + 1))
    echo "$1, $size pages: $(sed -n "s|$place/disk/||g; s/^error: //; s/; allowed.*//p" "$place/said" | tail -n 1)"
    ((code == 1 && errors == 1)) || fault "exit code $code, $errors errors: $(cat "$place/said")"
    grep -qE 'unexpected|panicked|Uncaught' "$place/said" && fault "$(cat "$place/said")"
    grep -q 'No space left' "$place/said" || fault "another error"
    mount -o "remount,size=64m" "$small" || exit 1
    local again=("${settings[@]}" --out "$run")
    [[ -f $run/config.json ]] && again=(--resume "$run")
    train "${again[@]}" || fault "with room: $(cat "$place/said")"
    deno run --quiet --allow-read scripts/tools/kills/compare.ts "$run" "$place/whole" || fault "other bytes"
    umount -R "$place/disk"
  done
}

size=0
train "${settings[@]}" --out "$place/whole" || { cat "$place/said" && exit 1; }
grow folder 1
grow adapter 1
grow whole 5
echo "$tries tries with a full disk, $faults faults"
((faults == 0))
