#!/bin/bash
# Written by `vmin cluster slurm`: unites the shards and writes the results.
#SBATCH --job-name="@NAME@ merge"
#SBATCH --cpus-per-task=@THREADS@
#SBATCH --mem=@MEMORY_MIB@M
#SBATCH --time=@MINUTES@
#SBATCH --output="@FOLDER@/slurm-merge.log"

exec "${VMIN:-vmin}" @MERGE@
