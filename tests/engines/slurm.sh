#!/usr/bin/env bash
# A campaign on a real Slurm: the files of `vmin cluster slurm` on a cluster of this one machine, whose daemons this
# script starts and ends. One shard gets SIGUSR1 while it runs, as before a time limit; it must be queued again, go on,
# and the merge must write the bytes of one process.
#
#   tests/engines/slurm.sh PROGRAM      says `skipped:` where Slurm is not installed
set -euo pipefail
VMIN="$(realpath "$1")"
export VMIN
for tool in munged slurmctld slurmd srun sbatch; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 0; }
done
PATH="$PATH:/usr/sbin:/sbin"
[ "$(id -u)" -eq 0 ] || { echo "skipped: Slurm's daemons want to be started by root"; exit 0; }

folder="$(mktemp -d)"
cd "$folder"
mkdir munge state spool log
chmod 700 munge
chmod 755 "$folder"
ended() {
  local pid
  for pid in slurmd.pid slurmctld.pid munge/pid; do
    if [ -s "$folder/$pid" ]; then kill "$(cat "$folder/$pid")" 2>/dev/null || true; fi
  done
  rm -rf "$folder"
}
trap ended EXIT
failed() { echo "$*"; tail -n 20 log/* out/*.log 2>/dev/null || true; exit 1; }

head -c 1024 /dev/urandom > munge/key
chmod 400 munge/key
munged --force --key-file="$PWD/munge/key" --socket="$PWD/munge.sock" --pid-file="$PWD/munge/pid" \
  --log-file="$PWD/munge/log" --seed-file="$PWD/munge/seed"
host="$(hostname -s)"
cat > slurm.conf <<CONF
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$PWD/munge.sock
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$PWD/state
SlurmdSpoolDir=$PWD/spool
SlurmctldPidFile=$PWD/slurmctld.pid
SlurmdPidFile=$PWD/slurmd.pid
SlurmctldLogFile=$PWD/log/slurmctld
SlurmdLogFile=$PWD/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$PWD/slurm.conf"
slurmctld -i
slurmd
for _ in $(seq 100); do
  [ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && break
  sleep 0.2
done

cat > e.toml <<'TOML'
name = "on slurm"
network = { model = "builtin:shapes-cnn" }
data = { set = "builtin:shapes", images = 100 }
accelerator = { model = "gemmini-16" }
memory = { profile = "sram14", vdd_mv = [1000, 875, 850, 833, 800] }
chips = { count = 600, seed = 7 }
TOML
"$VMIN" cluster slurm e.toml --shards 4 --out out --jobs 1
job="$(sbatch --parsable out/slurm-shards.sh)"
merge="$(sbatch --parsable --dependency="afterok:$job" out/slurm-merge.sh)"

records() { { cat out/shards/1/journal.jsonl 2>/dev/null || true; } | wc -l; }
for _ in $(seq 300); do
  [ "$(records)" -gt 20 ] && break
  sleep 0.1
done
# The signal goes out at once; then scancel tries a job that is queued again for a minute and a half.
timeout 3 scancel --signal=USR1 "${job}_1" 2>/dev/null || true
# Why the first shard waits, if it does.
waiting() { squeue -h -o "%i %r" | sed -n "s/^${job}_1 //p"; }
for _ in $(seq 100); do
  [ "$(waiting)" = BeginTime ] && break
  sleep 0.2
done
[ "$(waiting)" = BeginTime ] || failed "the shard was not queued again"
before="$(records)"
[ "$before" -lt 751 ] || failed "the shard was done before the signal"
for _ in $(seq 600); do
  [ -z "$(squeue -h)" ] && break
  # Slurm waits two minutes before it starts such a job again, unless it is told otherwise.
  if [ "$(waiting)" = BeginTime ]; then scontrol update jobid="${job}_1" starttime=now || true; fi
  sleep 0.5
done
[ -s out/results.json ] || failed "job $merge wrote no results"
"$VMIN" sweep e.toml --out whole --quiet > /dev/null
for file in results.json results.csv report.html first-chip.chip; do
  cmp "out/$file" "whole/$file" || failed "$file differs"
done
echo "slurm: 4 shards, one stopped by SIGUSR1 after $((before - 1)) trials and queued again; the bytes of one process"
