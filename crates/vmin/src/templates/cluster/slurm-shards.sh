#!/bin/bash
# Written by `vmin cluster slurm`: one task of a job array for each shard.
# From the folder in which it was written (nodes share it):
#   job=$(sbatch --parsable @FOLDER@/slurm-shards.sh)
#   sbatch --dependency="afterok:$job" @FOLDER@/slurm-merge.sh
# Shards that failed, again alone: sbatch --array=3,7 @FOLDER@/slurm-shards.sh
#SBATCH --job-name="@NAME@"
#SBATCH --array=1-@SHARDS@
#SBATCH --cpus-per-task=@THREADS@
#SBATCH --mem=@MEMORY_MIB@M
#SBATCH --time=@MINUTES@
#SBATCH --output="@FOLDER@/slurm-%a.log"
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=USR1@120

shard="$SLURM_ARRAY_TASK_ID"
# Signals go to the steps of a job, which `srun` begins.
srun "${VMIN:-vmin}" @SWEEP@ --shard "$shard/@SHARDS@" --out @FOLDER@/shards/"$shard" --resume
code=$?
# 75: a signal ended it before it was done; all finished trials are kept, and the same job goes on.
if [ "$code" -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$shard"
fi
exit "$code"
