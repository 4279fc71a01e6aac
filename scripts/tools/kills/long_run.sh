#!/bin/bash
# A long run with evaluations and checkpoints under `ulimit -n 256`: what its process holds over time, which stays flat.
#
#   scripts/tools/kills/long_run.sh BACKEND [STEPS [EVAL-EVERY [FLAG ...]]]
#
# Prints every ten seconds: step, descriptors, threads, resident MB; then the means of the second and of the last quarter.
set -u
cd "$(dirname "$0")/../../.."
backend=$1 steps=${2:-10000} every=${3:-5}
shift $(($# < 3 ? $# : 3))
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
ulimit -n 256
deno task --quiet train --backend "$backend" --steps "$steps" --eval-every "$every" --checkpoint-every 50 --limit 2 \
  --batch-size 1 --workers 1 --out "$place/run" "$@" >"$place/out" 2>&1 &
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
awk '{ step[NR] = $1; for (i = 2; i <= 4; i++) value[NR, i] = $i } END {
  split("descriptors threads MB", name, " ")
  for (i = 2; i <= 4; i++) {
    early = late = n = m = 0
    for (row = 1; row <= NR; row++) {
      if (row > NR / 4 && row <= NR / 2) { early += value[row, i]; n++ }
      if (row > NR * 3 / 4) { late += value[row, i]; m++ }
    }
    printf "%s: %.1f in the second quarter, %.1f in the last\n", name[i - 1], early / (n ? n : 1), late / (m ? m : 1)
  }
}' "$place/samples"
exit $code
