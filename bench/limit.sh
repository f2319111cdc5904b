#!/bin/sh
# The limit: limit.sh AT_ONCE SSH... runs `SSH ADDRESS sh -s <HOST.sh` for each line
# "HOST ADDRESS" of the file `addresses`.
at_once=$1
shift
export SSH="$*"
exec xargs -P "$at_once" -L 1 sh -c 'exec $SSH "$2" "sh -s" <"$1.sh" >/dev/null' sh <addresses
