#!/bin/sh
# Written by `vmin cluster parallel`: all shards by GNU parallel, or by xargs where that is not installed; then the
# merge. Run it where it was written; run again, it goes on where it stopped.
#   sh @FOLDER@/parallel.sh
#   SLOTS=2 sh @FOLDER@/parallel.sh                     two shards at a time
#   HOSTS=node1,node2 SLOTS=2 sh @FOLDER@/parallel.sh   on each of these, by ssh; they share the folder

if [ "${1:-}" = shard ]; then
  exec "${VMIN:-vmin}" @SWEEP@ --shard "$2/@SHARDS@" --out @FOLDER@/shards/"$2" \
    --resume --jobs @THREADS@ --quiet
fi
if command -v parallel >/dev/null 2>&1; then
  seq @SHARDS@ | parallel --quote ${HOSTS:+--sshlogin "$HOSTS" --workdir .} --env VMIN \
    --jobs "${SLOTS:-1}" --retries 5 --joblog @FOLDER@/parallel.log \
    sh @FOLDER@/parallel.sh shard '{}'
elif [ -z "${HOSTS:-}" ]; then
  seq @SHARDS@ | xargs -P "${SLOTS:-1}" -I '{}' sh @FOLDER@/parallel.sh shard '{}'
else
  echo "several machines need GNU parallel" >&2
  false
fi || { echo "some shards are not done; run the same again" >&2; exit 1; }
exec "${VMIN:-vmin}" @MERGE@
