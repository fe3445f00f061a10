#!/bin/sh
# The age program and curl, in a pipe. `sh ageCurl.sh upload URL PATH RECIPIENT`, `sh ageCurl.sh download URL PATH KEYFILE`
set -eu
began=$(date +%s.%N)
if [ "$1" = upload ]; then
  age -r "$4" "$3" | curl -sf -o /dev/null -X POST -T - "$2/"
else
  curl -sf "$2/encrypted0000" | age -d -i "$4" -o "$3"
  sync "$3"
fi
ended=$(date +%s.%N)
echo "{\"wallS\":$(echo "$ended $began" | awk '{ printf "%.4f", $1 - $2 }')}"
