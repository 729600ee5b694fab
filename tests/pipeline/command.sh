#!/usr/bin/env bash
# Drives the installed command as a person or a scheduler would: usage: command.sh FOLDER COMMAND...
set -uo pipefail
cd "$1"
shift
lrrt=("$@")

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

# --- a config, checked ---
expect 0 init
cp stdout.txt search.toml
sed -i 's/^num_trials = .*/num_trials = 30/; s/^epochs = .*/epochs = 6/; s/^repeats = .*/repeats = 1/' search.toml
expect 0 validate search.toml
echo "[study" >broken.toml
expect 2 validate broken.toml
[ ! -e out ] && [ ! -e state ] || fail "nothing may be written by now"

# --- what it will cost ---
expect 0 plan search.toml
said "30 trials" stdout.txt

# --- killed in the middle of a trial, as a scheduler does ---
"${lrrt[@]}" run search.toml --progress plain >stdout.txt 2>stderr.txt &
running=$!
for _ in $(seq 600); do
    grep -q "trial 2 " stderr.txt && break
    kill -0 $running 2>/dev/null || fail "the run ended too early: $(cat stderr.txt)"
    sleep 0.1
done
kill -TERM $running
wait $running
code=$?
[ $code = 143 ] || fail "after SIGTERM the exit code must be 143, got $code: $(tail -n 3 stderr.txt)"
said "stopped by SIGTERM; run the same command again to go on" stderr.txt
[ ! -e out/summary.json ] || fail "there must be no summary yet"
[ ! -e state/lock_holder.json ] || fail "the lock must be free"
ls state/checkpoints/slot-*.npz >/dev/null || fail "the running trial must be kept"
expect 0 status search.toml
said "^study: " stdout.txt

# --- another configuration may not go on with it ---
sed 's/^epochs = .*/epochs = 7/' search.toml >other.toml
expect 73 run other.toml
said "study.epochs: was 6, now 7" stderr.txt

# --- the same command goes on, as JSON for programs ---
expect 0 run search.toml --trials 8 --json
said "resume: range tests are done" stderr.txt
said "goes on after epoch" stderr.txt
if grep -q "trial 0 " stderr.txt; then fail "trial 0 must not be repeated"; fi
python3 -c 'import json, sys; s = json.load(open("stdout.txt")); sys.exit(s["num_trials"]["ended"] < 8)' ||
    fail "stdout must be the summary of 8 trials or more"

# --- and then does nothing ---
expect 0 run search.toml --trials 3
said "nothing left to do" stderr.txt
[ "$(cat stdout.txt)" = out/summary.json ] || fail "stdout must be the path of the summary, got $(cat stdout.txt)"

# --- more trials ---
expect 0 run search.toml --trials 40 --max-time 1h
said "(40/40)" stderr.txt
expect 0 report search.toml
said "^out/report.html$" stdout.txt
expect 0 status search.toml --trials 40
said "^done: 40 of 40" stdout.txt

# --- state that somebody broke ---
echo "{" >state/fingerprint.json
expect 74 run search.toml
echo "all is well"
