#!/usr/bin/env python3
# Written by `vmin cluster ray`: one Ray task for each shard, then `vmin merge`. Run it where it was written:
#   python @FOLDER@/ray_sweep.py
# It uses the cluster of RAY_ADDRESS, or this machine. Every node needs `vmin` (or what the variable VMIN names), and
# the experiment with its files under the same path. Results need no shared folder: each task returns its journal.
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time

import ray

SHARDS = @SHARDS@
THREADS = @THREADS@
MEMORY_MIB = @MEMORY_MIB@
RETRIES = 5
HERE = os.getcwd()
VMIN = os.environ.get("VMIN", "vmin")
FOLDER = pathlib.Path(HERE, @FOLDER_PYTHON@)
SWEEP = [VMIN, *@SWEEP_LIST@]
MERGE = [VMIN, *@MERGE_LIST@]
FILES = ["journal.jsonl", "manifest.json"]


class Again(Exception):
    """The shard is not done; the next try goes on from its journal."""


def end_with_worker():
    """Has Linux end vmin by SIGTERM when its Ray worker dies, so that the journal is free for the next try."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@ray.remote(
    num_cpus=THREADS,
    memory=MEMORY_MIB << 20,
    max_retries=RETRIES,
    retry_exceptions=[Again],
)
def run_shard(number):
    folder = FOLDER / "shards" / str(number)
    shard = ["--shard", f"{number}/{SHARDS}", "--out", str(folder), "--resume", "--jobs", str(THREADS)]
    ended = subprocess.run(
        SWEEP + shard, cwd=HERE, preexec_fn=end_with_worker, stderr=subprocess.PIPE, text=True
    )
    if ended.returncode == 2:
        raise ValueError(ended.stderr)
    if ended.returncode != 0:
        time.sleep(2)
        raise Again(f"exit code {ended.returncode}: {ended.stderr}")
    return {name: (folder / name).read_bytes() for name in FILES}


def keep(number, files):
    """Writes what a task returned, where its folder is not shared."""
    folder = FOLDER / "shards" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def main():
    ray.init()
    running = {run_shard.remote(number): number for number in range(1, SHARDS + 1)}
    failed = []
    while running:
        (task,), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(task)
        try:
            keep(number, ray.get(task))
        except ray.exceptions.RayError as error:
            failed.append(number)
            print(f"shard {number} failed: {error}", file=sys.stderr)
        else:
            print(f"shard {number} is done, {len(running)} of {SHARDS} are left", file=sys.stderr)
    if failed:
        sys.exit(f"shards {failed} failed; what they did is kept, run the same again")
    sys.exit(subprocess.run(MERGE, cwd=HERE).returncode)


if __name__ == "__main__":
    main()
