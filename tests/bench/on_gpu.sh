#!/bin/sh
# Everything that only a GPU can show, in the order in which a mistake is best found; about 12 minutes on one H100.
#
#   PYTHON=.venv/bin/python tests/bench/on_gpu.sh FOLDER [PART …]
#
# FOLDER receives logs and figures, and the synthetic 27B (20.4 GB). PARTs: checks decode prefill bare load sessions plan kv
# baseline, all of them if none is named; and kv-long kv-plan. In the repository's root.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
python=$(command -v "${PYTHON:-python3}")
big="$out/synthetic-27b"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OUT="$out" PARLEY_HOME="$out/home"

part() { # name, seconds, command…: one part under its own limit, its output kept
    name=$1 limit=$2
    shift 2
    timeout "$limit" "$@" > "$out/$name.log" 2>&1
    echo "== $name: exit $?"
    tail -12 "$out/$name.log"
}
the_27b() { [ -f "$big/model.safetensors.index.json" ] || part make-27b 180 "$python" -m tests.bench.synthetic "$big"; }

for each in ${*:-checks decode prefill bare load sessions plan kv baseline}; do
    case $each in
        checks) part checks 300 "$python" -m pytest tests/gpu -q -p no:cacheprovider ;;
        decode) part decode 150 "$python" -m tests.bench.decode ;;
        prefill) part prefill 240 "$python" -m tests.bench.prefill ;;
        bare) # no compiler, no tools: cold kernels, then warm ones
            mkdir -p "$out/empty"
            for turn in cold warm; do
                part "bare-$turn" 60 env -i PATH="$out/empty" HOME="$out/empty" PYTHONPATH="$PYTHONPATH" \
                    PARLEY_HOME="$out/bare" "$python" -m app ask "What is 37 + 48?" --json
            done ;;
        load)
            the_27b
            part load-cold 100 "$python" -m app bench --model "$big" --depths 128 --prompts 128
            part load 200 "$python" -m app bench --model "$big" --depths 128,8192,32768,131072 --prompts 128,2048,8192,32768 ;;
        sessions)
            the_27b
            part sessions 200 "$python" -m tests.bench.sessions "$big" --tokens 30000 --context 65536 ;;
        plan)
            the_27b
            part plan 200 "$python" -m tests.bench.plan_check "$big" "$out/plan.json" --free 20i \
                --contexts 8192,32768,131072,262144 ;;
        baseline)
            the_27b
            part baseline 200 "$python" -m tests.bench.baseline "$big" "$out/baseline.json" ;;
        kv) part kv 120 "$python" -m tests.bench.kv ;;
        kv-long) part kv-long 150 "$python" -m tests.bench.kv prefill ;;
        kv-plan)
            the_27b
            part kv-plan 150 "$python" -m tests.bench.plan_check "$big" "$out/kv-plan.json" --kv-bits 8 \
                --contexts 32768,262144 ;;
        *) echo "There is no part named $each." ; exit 2 ;;
    esac
done
