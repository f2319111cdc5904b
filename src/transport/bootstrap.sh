# Finds or places the agent on a host and becomes it. Read by eval in any POSIX sh,
# after a line that sets kup_hash (sha256), kup_size and kup_arch. Answers in lines
# that begin with KUP-PLAY; after "need" come the number of bytes on a line and those
# bytes. Its own variables begin with kup_, for one that the environment has as well
# would reach the agent changed.
kup_say() { echo "KUP-PLAY $*"; }

# Proved once since the host was booted, and not changed after that: started at once, without
# a process for anything else. Only this user can have put the proof there.
read -r kup_boot 2>/dev/null </proc/sys/kernel/random/boot_id || kup_boot=
kup_dir=$HOME/.cache/kup-play
kup_file=$kup_dir/agent-$kup_hash
kup_proof=$kup_dir/proved-$kup_hash
if [ -n "$kup_boot" ] && [ ! -h "$kup_dir" ] && [ -O "$kup_dir" ] && [ -x "$kup_file" ] &&
  [ -O "$kup_file" ] && [ -O "$kup_proof" ] && [ "$kup_proof" -nt "$kup_file" ] &&
  read -r kup_proved <"$kup_proof" && [ "$kup_proved" = "$kup_boot" ]; then
  command exec "$kup_file" agent "$kup_dir"
fi

kup_mask=$(umask)
umask 077

kup_here=$(uname -m)
if [ "$kup_here" != "$kup_arch" ]; then
  kup_say arch "$kup_here"
  exit 0
fi
kup_uid=$(id -u)

if command -v sha256sum >/dev/null 2>&1; then kup_tool='sha256sum'
elif command -v openssl >/dev/null 2>&1; then kup_tool='openssl dgst -sha256 -r'
elif command -v busybox >/dev/null 2>&1; then kup_tool='busybox sha256sum'
else
  kup_say fail 'the host has neither sha256sum nor openssl nor busybox to prove the agent with'
  exit 0
fi
kup_sum() { $kup_tool <"$1" 2>/dev/null | { read -r kup_word kup_rest; echo "$kup_word"; }; }

# Whether a folder is this user's alone.
kup_ours() {
  [ ! -h "$1" ] && [ -d "$1" ] || return 1
  set -f
  set -- $(ls -ldn "$1" 2>/dev/null)
  set +f
  case $1 in drwx------*) [ "$3" = "$kup_uid" ] ;; *) return 1 ;; esac
}

# Whether files of a folder may be run: it may be mounted noexec. Written aside
# first, since a file that somebody has open for writing cannot be run.
kup_runs() {
  if [ ! -f "$1/probe" ]; then
    printf '#!/bin/sh\nexit 0\n' >"$1/probe.$$" && chmod 700 "$1/probe.$$" &&
      mv -f "$1/probe.$$" "$1/probe" || { rm -f "$1/probe.$$"; return 1; }
  fi
  "$1/probe"
} 2>/dev/null

# To be called when the agent has been proved.
kup_start() {
  if [ -n "$kup_boot" ]; then echo "$kup_boot" >"$kup_dir/proved-$kup_hash"; fi 2>/dev/null
  umask "$kup_mask"
  exec "$kup_file" agent "$kup_dir"
}

set -- "/var/tmp/kup-play-$kup_uid" "/tmp/kup-play-$kup_uid" \
  "/run/user/$kup_uid/kup-play" "/dev/shm/kup-play-$kup_uid"
if [ -n "$HOME" ] && [ -d "$HOME" ]; then set -- "$HOME/.cache/kup-play" "$@"; fi

for kup_dir in "$@"; do
  kup_file=$kup_dir/agent-$kup_hash
  [ -f "$kup_file" ] && kup_ours "$kup_dir" && kup_runs "$kup_dir" || continue
  if [ "$(kup_sum "$kup_file")" = "$kup_hash" ]; then kup_start; fi
  rm -f "$kup_file"
done

# Removes other versions, and copies that were broken off.
kup_tidy() {
  for kup_old in "$1"/agent-* "$1"/proved-* "$1"/.new.*; do
    case $kup_old in
      */agent-"$kup_hash" | *.gz) ;;
      */.new.*) kill -0 "${kup_old##*.}" 2>/dev/null || rm -f "$kup_old" ;;
      *) rm -f "$kup_old" ;;
    esac
  done
}
kup_free() { df -Pk "$1" 2>/dev/null | tail -n 1 | { read -r kup_a kup_b kup_c kup_d kup_e; echo "${kup_d:-0}"; }; }

kup_why=
kup_found=
for kup_dir in "$@"; do
  if [ ! -d "$kup_dir" ] && [ ! -h "$kup_dir" ]; then
    if [ "$kup_dir" = "$HOME/.cache/kup-play" ]; then mkdir -p "$HOME/.cache" 2>/dev/null; fi
    mkdir "$kup_dir" 2>/dev/null
  fi
  if [ ! -h "$kup_dir" ] && [ -O "$kup_dir" ]; then chmod 700 "$kup_dir" 2>/dev/null; fi
  if [ ! -d "$kup_dir" ]; then kup_no='cannot be made'
  elif ! kup_ours "$kup_dir"; then kup_no='is not a folder of this user alone'
  elif kup_tidy "$kup_dir"; [ "$(kup_free "$kup_dir")" -lt $((kup_size / 1024 + 1024)) ]; then
    kup_no="has only $(kup_free "$kup_dir") KiB left of $((kup_size / 1024 + 1024)) needed"
  elif ! kup_runs "$kup_dir"; then kup_no='lets no file be run (noexec)'
  else kup_found=$kup_dir; break
  fi
  kup_why="$kup_why${kup_why:+; }$kup_dir $kup_no"
done
if [ -z "$kup_found" ]; then
  kup_say fail "no folder on the host can hold the agent: $kup_why"
  exit 0
fi

kup_file=$kup_dir/agent-$kup_hash
kup_new=$kup_dir/.new.$$
trap 'rm -f "$kup_new"' EXIT
trap 'exit 1' HUP INT PIPE TERM
if command -v gzip >/dev/null 2>&1; then
  kup_say need gzip
  read -r kup_count
  head -c "$kup_count" | gzip -dc >"$kup_new"
else
  kup_say need raw
  read -r kup_count
  head -c "$kup_count" >"$kup_new"
fi
if [ "$(kup_sum "$kup_new")" != "$kup_hash" ]; then
  kup_say fail "the agent did not arrive whole in $kup_dir, which has $(kup_free "$kup_dir") KiB left"
  exit 0
fi
chmod 700 "$kup_new" && mv -f "$kup_new" "$kup_file" || {
  kup_say fail "the agent cannot be put in its place in $kup_dir"
  exit 0
}
trap - EXIT HUP INT PIPE TERM
kup_start
