#!/usr/bin/env bash
# Drives the installed command as a person or a scheduler would, to every exit code: command.sh FOLDER COMMAND...
set -uo pipefail
cd "$1"
shift
lrrt=("$@")
trap 'kill $(jobs -p) 2>/dev/null' EXIT

fail() {
    echo "command.sh: $*" >&2
    exit 1
}

# Run the command and compare its exit code; what it prints is in stdout.txt and stderr.txt.
expect() {
    local code=$1
    shift
    "${lrrt[@]}" "$@" >stdout.txt 2>stderr.txt
    local got=$?
    [ "$got" = "$code" ] || fail "lrrt $* ended with $got instead of $code: $(tail -n 3 stderr.txt)"
}

said() {
    grep -q -- "$1" "$2" || fail "$2 must say '$1', got: $(cat "$2")"
}

# Start the command, send it a signal once it has said something, and compare its exit code.
interrupt() {
    local code=$1 signal=$2 words=$3
    shift 3
    "${lrrt[@]}" "$@" --progress plain >stdout.txt 2>stderr.txt &
    local running=$!
    until grep -q -- "$words" stderr.txt; do
        kill -0 $running 2>/dev/null || fail "lrrt $* ended before it said '$words': $(cat stderr.txt)"
        sleep 0.1
    done
    kill -"$signal" $running
    { wait $running; } 2>/dev/null  # where bash says that it was killed
    local got=$?
    [ $got = "$code" ] || fail "after SIG$signal the exit code must be $code, got $got: $(tail -n 3 stderr.txt)"
    [ "$signal" = KILL ] || said "run the same command again to go on" stderr.txt
}

# --- endings that no other run comes to; each is a process of its own, so they run beside the rest ---
cat >command_tasks.py <<'PYTHON'
import keras, numpy as np
from pipeline.digits_example import load_data

def model(*layers, loss="sparse_categorical_crossentropy"):
    made = keras.Sequential([keras.layers.Input((64,)), *layers])
    made.compile("sgd", loss)
    return made

class Unvalidated(keras.layers.Layer):
    def call(self, inputs, training=False):
        return inputs if training else inputs * np.nan

def never_finite():
    return model(keras.layers.Dense(10), loss=lambda y, p: keras.ops.log(-keras.ops.mean(p ** 2)))

def never_valid():
    return model(keras.layers.Dense(10, activation="softmax"), Unvalidated())

def large():
    return model(keras.layers.Dense(256, activation="relu"), keras.layers.Dense(10, activation="softmax"))

def noise():
    rng = np.random.default_rng(0)
    part = lambda n: (rng.normal(size=(n, 64)).astype("float32"), rng.integers(0, 10, n))
    return {"train": part(128), "validation": part(128)}

def raising():
    raise ZeroDivisionError("my own mistake")
PYTHON

ending() {
    local code=$1 model=$2 data=$3 words=$4 command=$5
    shift 5
    mkdir "ending-$code"
    printf '[task]\nbuild_model = "command_tasks:%s"\nload_data = "command_tasks:%s"\n' "$model" "$data" >"ending-$code.toml"
    printf '[range_test]\noptimizers = ["sgd"]\nnum_steps = 60\nrepeats = 1\n[study]\nnum_trials = 2\nepochs = 12\ntop_retrained = 0\n' >>"ending-$code.toml"
    (cd "ending-$code" && "${lrrt[@]}" "$command" "../ending-$code.toml" --app-dir .. "$@" >stdout.txt 2>stderr.txt)
    local got=$?
    [ "$got" = "$code" ] || fail "the exit code must be $code, got $got: $(tail -n 3 "ending-$code/stderr.txt")"
    said "$words" "ending-$code/stderr.txt"
}
(
    ending 3 never_finite load_data "No optimizer has a learning rate worth" run &&
        ending 4 never_valid load_data "None of 2 trials was trained to its end" run &&
        ending 5 large noise "is overfitted: " search --range adam=0.01:0.02 --fail-on overfit &&
        ending 65 raising load_data "ZeroDivisionError: my own mistake" run
) &
endings=$!

# --- a config, checked ---
expect 0 init
cp stdout.txt search.toml
sed -i 's/^num_trials = .*/num_trials = 90/; s/^epochs = .*/epochs = 6/; s/^repeats = .*/repeats = 1/; s/^top_retrained = .*/top_retrained = 0/' \
    search.toml
sed -i 's/^optimizers = .*/optimizers = ["sgd"]/' search.toml
expect 0 validate search.toml
echo "[study" >broken.toml
expect 2 validate broken.toml
mkdir broken && echo 'raise RuntimeError("broken")' >broken/tomllib.py
PYTHONPATH="$PWD/broken:${PYTHONPATH:-}" expect 70 validate search.toml
said "this is a fault of lrrt, please report it: RuntimeError: broken" stderr.txt
expect 0 plan search.toml
said "90 trials" stdout.txt
[ ! -e out ] && [ ! -e state ] || fail "nothing may be written by now"

# --- bounds alone ---
expect 0 range search.toml
[ "$(cat stdout.txt)" = out/range_test/bounds.json ] || fail "stdout must be the path of the bounds"
[ -s out/range_test/loss.png ] || fail "there must be a picture of the range tests"
LRRT_STORAGE=postgresql://nobody@127.0.0.1:1/none expect 69 status search.toml
said "storage cannot be reached" stderr.txt

# --- killed in the middle of a trial, as a full machine does, and as a scheduler does; by a person; out of time ---
interrupt 137 KILL "(2/90)" run search.toml
[ ! -e out/summary.json ] || fail "there must be no summary yet"
interrupt 143 TERM "/90)" run search.toml
said "stopped by SIGTERM" stderr.txt
if grep -q "trial 0 " stderr.txt; then fail "trial 0 must not be repeated"; fi
[ ! -e out/summary.json ] || fail "there must be no summary yet"
[ ! -e state/lock_holder.json ] || fail "the lock must be free"
[ -n "$(ls state/checkpoints/trial-*.npz 2>/dev/null)" ] || fail "the running trial must be stored"
expect 0 status search.toml
said "^study: " stdout.txt
interrupt 130 INT "resume: range tests are done" run search.toml
said "stopped by Ctrl-C" stderr.txt
expect 75 run search.toml --max-time 0.01s
said "its time is used up" stderr.txt

# --- another configuration may not go on with it ---
sed 's/^epochs = .*/epochs = 7/' search.toml >other.toml
expect 73 run other.toml
said "study.epochs: was 6, now 7" stderr.txt

# --- the same command goes on, as JSON for programs ---
num_ended() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)["num_trials"]["ended"])' <stdout.txt
}
expect 0 status search.toml --json
wanted=$(($(num_ended) + 1))
expect 0 run search.toml --trials $wanted --json
said "resume: range tests are done" stderr.txt
said "goes on after epoch" stderr.txt
[ "$(num_ended)" = $wanted ] || fail "stdout must be the summary of $wanted trials, got $(cat stdout.txt)"

# --- and then does nothing ---
expect 0 run search.toml --trials 3
said "nothing left to do" stderr.txt
[ "$(cat stdout.txt)" = out/summary.json ] || fail "stdout must be the path of the summary, got $(cat stdout.txt)"

# --- more trials ---
more=$((wanted + 1))
expect 0 run search.toml --trials $more --max-time 1h
said "($more/$more)" stderr.txt
numbers=$(python3 -c 'import json; print(*(json.loads(line)["number"] for line in open("out/trials.jsonl")))')
[ "$numbers" = "$(seq -s ' ' 0 $wanted)" ] || fail "each trial must be there once, got $numbers"
expect 0 status search.toml --trials $more
said "^done: $more of $more" stdout.txt

# --- state that somebody broke ---
echo "{" >state/fingerprint.json
expect 74 run search.toml

wait $endings || exit 1
echo "all is well"
