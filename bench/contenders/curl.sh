#!/bin/sh
# curl. `sh curl.sh upload|download URL PATH [BYTES] [durable]`
set -eu
if [ "$1" = upload ]; then
  exec curl -sf -o /dev/null -w '{"wallS":%{time_total}}\n' -F "file=@$3" "$2/"
fi
key=$(printf 'bytes%012d' "$4")
if [ "${5:-}" != durable ]; then
  exec curl -sf -o "$3" -w '{"wallS":%{time_total}}\n' "$2/$key"
fi
began=$(date +%s.%N)
curl -sf -o "$3" "$2/$key"
sync "$3"
ended=$(date +%s.%N)
echo "{\"wallS\":$(echo "$ended $began" | awk '{ printf "%.4f", $1 - $2 }')}"
