#!/usr/bin/env bash
# Drives the installed command as a person or a scheduler would, through kills and signals: command.sh FOLDER COMMAND...
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
    : >stderr.txt # the words of the run before must not be taken for this one's
    "${lrrt[@]}" "$@" --progress plain >stdout.txt 2>stderr.txt &
    local running=$!
    until grep -q -- "$words" stderr.txt; do
        kill -0 $running 2>/dev/null || fail "lrrt $* ended before it said '$words': $(cat stderr.txt)"
        sleep 0.1
    done
    sleep 0.3 # into the next trial
    kill -"$signal" $running
    { wait $running; } 2>/dev/null  # where bash says that it was killed
    local got=$?
    [ $got = "$code" ] || fail "after SIG$signal the exit code must be $code, got $got: $(tail -n 3 stderr.txt)"
    [ "$signal" = KILL ] || said "run the same command again to go on" stderr.txt
}

# --- a config ---
expect 0 init
[ ! -s stderr.txt ] || fail "init must say nothing, got $(cat stderr.txt)"
cp stdout.txt search.toml
sed -i 's/^num_trials = .*/num_trials = 90/; s/^epochs = .*/epochs = 20/; s/^repeats = .*/repeats = 1/; s/^top_retrained = .*/top_retrained = 0/' \
    search.toml
sed -i 's/^optimizers = .*/optimizers = ["sgd"]/' search.toml
# --- killed in the middle of a trial, as a full machine does, and as a scheduler does ---
interrupt 137 KILL "(2/90)" run search.toml
if grep -vE "^[0-9-]+T" stderr.txt; then fail "TensorFlow must say nothing of its own"; fi
[ ! -e out/summary.json ] || fail "there must be no summary yet"
interrupt 143 TERM "/90)" run search.toml
said "stopped by SIGTERM" stderr.txt
if grep -q "trial 0 " stderr.txt; then fail "trial 0 must not be repeated"; fi
[ ! -e out/summary.json ] || fail "there must be no summary yet"
[ ! -e state/lock_holder.json ] || fail "the lock must be free"
[ -n "$(ls state/checkpoints/trial-*.npz 2>/dev/null)" ] || fail "the running trial must be stored"

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
numbers=$(python3 -c 'import json; print(*(json.loads(line)["number"] for line in open("out/trials.jsonl")))')
[ "$numbers" = "$(seq -s ' ' 0 $((wanted - 1)))" ] || fail "each trial must be there once, got $numbers"

# --- and then does nothing ---
expect 0 run search.toml --trials $wanted
said "nothing left to do" stderr.txt
[ "$(cat stdout.txt)" = out/summary.json ] || fail "stdout must be the path of the summary, got $(cat stdout.txt)"

echo "all is well"
