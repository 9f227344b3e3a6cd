#!/bin/sh
# Runs one service of the image; the rest of the arguments are its flags.
set -eu
service=${1:-}
case $service in
  api-server | scheduler | agent | standalone) shift ;;
  *)
    echo "usage: api-server|scheduler|agent|standalone [flags]; $service is none of them" >&2
    exit 2
    ;;
esac
exec node --import tsx "packages/$service/src/main.ts" "$@"
