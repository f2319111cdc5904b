#!/bin/sh
# Puts the agent into the program that sends it: attach-agent.sh AGENT PROGRAM
# The program then ends in the gzipped agent and a line on it (src/transport/payload.rs).
set -eu
agent=$1 program=$2
new=$program.new.$$
trap 'rm -f "$new" "$new.gz"' EXIT
gzip -9nc "$agent" >"$new.gz"
hash=$(sha256sum <"$agent")
cp -p "$program" "$new"
cat "$new.gz" >>"$new"
printf 'KUP-PLAY-AGENT %s %012d %012d\n' "${hash%% *}" "$(wc -c <"$agent")" "$(wc -c <"$new.gz")" >>"$new"
mv -f "$new" "$program"
