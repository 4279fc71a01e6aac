#!/bin/bash
# A long run with evaluations and checkpoints under `ulimit -n 256`: what its process holds over time, which stays flat.
#
#   scripts/tools/kills/long_run.sh BACKEND [STEPS [EVAL-EVERY [FLAG ...]]]
#
# Prints every ten seconds: step, descriptors, threads, resident MB; then the means of the four quarters, and of live tensors,
# buffers and buffers of the engine at the last hundredth step of each.
set -u
cd "$(dirname "$0")/../../.."
backend=$1 steps=${2:-10000} every=${3:-5}
shift $(($# < 3 ? $# : 3))
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
ulimit -n 256
deno run --quiet --no-prompt --unstable-npm-lazy-caching --lock=on_demand.lock --frozen -P=train \
  scripts/tools/kills/long_run.ts --backend "$backend" --steps "$steps" --eval-every "$every" --out "$place/run" "$@" \
  >"$place/counts" 2>"$place/out" &
task=$!
while kill -0 $task 2>/dev/null; do
  sleep "${ONELORA_SAMPLE:-10}"
  pid=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$place/run/.onelora.lock" 2>/dev/null) || continue
  [[ -d /proc/$pid/fd ]] || continue
  step=$(wc -l <"$place/run/metrics.jsonl" 2>/dev/null) descriptors=$(ls "/proc/$pid/fd" | wc -l)
  memory=$(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$pid/status")
  echo "$step $descriptors $(ls "/proc/$pid/task" | wc -l) $memory" | tee -a "$place/samples"
done
wait $task
code=$?
echo "exit code $code, $(wc -l <"$place/run/metrics.jsonl") steps, $(grep -c evaluation "$place/run/metrics.jsonl") evaluations"
((code == 0)) || cat "$place/out"
awk '{ for (i = 2; i <= 4; i++) value[NR, i] = $i } END {
  split("descriptors threads MB", name, " ")
  for (i = 2; i <= 4; i++) {
    printf "%s:", name[i - 1]
    for (quarter = 0; quarter < 4; quarter++) {
      sum = n = 0
      for (row = 1; row <= NR; row++) if (row > quarter * NR / 4 && row <= (quarter + 1) * NR / 4) { sum += value[row, i]; n++ }
      printf " %.1f", sum / (n ? n : 1)
    }
    print " in the four quarters"
  }
}' "$place/samples"
awk '{ row[NR] = $0 } END {
  for (quarter = 1; quarter <= 4; quarter++) {
    split(row[int(quarter * NR / 4)], part, " ")
    printf "step %d: %d tensors, %d buffers, %d of the engine, %s MB of tensors\n", part[1], part[2], part[3], part[4], part[5]
  }
}' "$place/counts"
exit $code
