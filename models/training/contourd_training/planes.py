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
from typing import Callable

import torch

from . import train
from .dry_run import dry_run
from .store import PLANES

# A command, once the device is known.
Job = Callable[[str], list[str]]


def all_devices() -> list[str]:
    """Every GPU; the processor where there is none."""
    return [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]


def devices(asked: list[str] | None) -> list[str]:
    """The device of each plane, in turn."""
    found = asked or all_devices()
    return [found[n % len(found)] for n in range(len(PLANES))]


def training(words: list[str], plane: str, out: Path, threads: int) -> Job:
    """The command that trains a plane on the device that it is given."""
    base = [sys.executable, "-m", "contourd_training.train", *words, "--plane", plane, "--out", str(out)]
    return lambda device: [*base, "--device", device, "--threads", str(threads)]


def run_all(jobs: dict[str, Job], slots: list[str]) -> dict[str, int]:
    """Runs jobs until all have ended, as many at once as there are slots (a slot is a device; one may be named twice);
    the exit status of each. The first that fails, or a signal to this process, has those that run asked to stop,
    and those that wait are not started: their status is 1."""
    waiting, free = dict(jobs), list(slots)
    running: dict[str, tuple[subprocess.Popen, str]] = {}
    codes: dict[str, int] = {}
    asked: list[int] = []
    handlers = {n: signal.signal(n, lambda number, _: asked.append(number)) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        while running or waiting:
            while waiting and free:
                name, slot = next(iter(waiting)), free.pop(0)
                running[name] = (subprocess.Popen(waiting.pop(name)(slot)), slot)
            time.sleep(0.2)
            for name in [name for name, (job, _) in running.items() if job.poll() is not None]:
                job, slot = running.pop(name)
                codes[name] = job.returncode
                free.append(slot)
            failed = [name for name, code in codes.items() if code]
            if failed or asked:
                why = f"{', '.join(failed)} failed" if failed else "asked to stop"
                if running or waiting:
                    print(f"{why}; what runs writes its checkpoint and stops", file=sys.stderr, flush=True)
                for job, _ in running.values():
                    job.terminate()
                codes.update({name: job.wait() for name, (job, _) in running.items()})
                codes.update(dict.fromkeys(waiting, 1))
                break
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return codes


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
    jobs = {plane: training(rest, plane, given.out / plane, threads) for plane in PLANES}
    failed = {name: code for name, code in run_all(jobs, where).items() if code}
    if failed:
        raise SystemExit("; ".join(f"{name} ended with status {code}" for name, code in failed.items()))


if __name__ == "__main__":
    main()
