"""Trains the three planes at once: a device each where there are several, else an equal share of the cores.

python3 -m contourd_training.planes --config RECIPE --store FOLDER --iterations 1600 --out RUN_FOLDER [as of train]

Each plane writes to RUN_FOLDER/<plane>; all arguments of contourd_training.train but --plane, --out and --device are handed
on. Nothing is restarted: when one plane fails the others are asked to stop (they write their checkpoints), and the same
command goes on later.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from . import train
from .dry_run import dry_run
from .store import PLANES


def devices(asked: list[str] | None) -> list[str]:
    """The device of each plane, in turn."""
    found = asked or [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]
    return [found[n % len(found)] for n in range(len(PLANES))]


def commands(words: list[str], out: Path, where: list[str], threads: int) -> dict[str, list[str]]:
    """What is run for each plane."""
    base = [sys.executable, "-m", "contourd_training.train"]
    return {plane: [*base, *words, "--plane", plane, "--out", str(out / plane), "--device", device, "--threads",
                    str(threads)] for plane, device in zip(PLANES, where)}


def run_all(jobs: dict[str, list[str]]) -> dict[str, int]:
    """Runs them at once until all have ended; the exit status of each. The first that fails, or a signal to this
    process, has the others asked to stop."""
    running = {name: subprocess.Popen(command) for name, command in jobs.items()}
    asked: list[int] = []
    handlers = {n: signal.signal(n, lambda number, _: asked.append(number)) for n in (signal.SIGTERM, signal.SIGINT)}
    told = False
    try:
        while any(job.poll() is None for job in running.values()):
            failed = [name for name, job in running.items() if job.poll() not in (None, 0)]
            if (failed or asked) and not told:
                told = True
                why = f"{', '.join(failed)} failed" if failed else "asked to stop"
                print(f"{why}; the others write their checkpoints and stop", file=sys.stderr, flush=True)
                for job in running.values():
                    if job.poll() is None:
                        job.terminate()
            time.sleep(0.2)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return {name: job.returncode for name, job in running.items()}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    own = argparse.ArgumentParser(prog="contourd_training.planes", description=__doc__.split("\n")[0], add_help=False)
    own.add_argument("--out", required=True, type=Path, help="folder that will hold axial, coronal and sagittal")
    own.add_argument("--devices", nargs="+", help="e.g. cuda:0 cuda:1 [all that there are, else cpu]")
    own.add_argument("--threads", type=int, help="of each plane [an equal share of the cores]")
    own.add_argument("-h", "--help", action="store_true")
    given, rest = own.parse_known_args(arguments)
    if given.help:
        own.print_help()
        train.parser().print_help()
        return
    where = devices(given.devices)
    # What is wrong with the arguments is said once, here, and not by three processes.
    words = train.parser()
    shared = words.parse_args([*rest, "--plane", "axial", "--out", str(given.out), "--device", where[0]])
    train.checked(words, shared)
    if shared.dry_run:
        sys.exit(dry_run(shared.config, shared.store, shared.validate, list(PLANES), where[0]))
    threads = given.threads or max(1, (os.cpu_count() or 1) // len(PLANES))
    failed = {name: code for name, code in run_all(commands(rest, given.out, where, threads)).items() if code}
    if failed:
        raise SystemExit("; ".join(f"{name} ended with status {code}" for name, code in failed.items()))


if __name__ == "__main__":
    main()
