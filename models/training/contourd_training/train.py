"""Trains the network of one plane.

python3 -m contourd_training.train --config RECIPE --store FOLDER --plane axial --iterations 1600 --out FOLDER
    [--from RUN_OR_MODEL] [--device cuda:0] [--validate FOLDER --validate-every 200] [--dry-run]

Writes to --out: checkpoint.pt (replaced whole), log.jsonl and curves.csv (a line an iteration), run.json (what was run, on
what), validation.csv and pictures/ (early looks), tensorboard/ where it is installed. Started again with the same --out it
goes on from the checkpoint, as if it had not stopped (exactly so with --iterations; a budget in minutes depends on the
clock); --minutes and --iterations count from the first start. Advised: OMP_WAIT_POLICY=passive.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import torch

from .batches import Ahead
from .config import Recipe
from .dry_run import dry_run
from .finetune import start_from
from .look import look
from .picture import write_png
from .records import Progress, Records, write_run
from .store import PLANES, Store
from .trainer import Trainer

CLOCKS = {"wall": time.monotonic, "processor": time.process_time}


@dataclass
class Plan:
    """How long to train and how often to do what. `looks`: the store of the early looks and what to call it."""

    minutes: float | None
    iterations: int | None
    checkpoint_seconds: float
    workers: int
    progress: str
    looks: tuple[str, Store] | None
    look_every: int
    clock: Callable[[], float] = time.monotonic

    def used(self, trainer: Trainer) -> float:
        """The part of the budget that is used, by whichever limit comes first."""
        return max(trainer.seconds / (60 * self.minutes) if self.minutes else 0.0,
                   trainer.iteration / self.iterations if self.iterations else 0.0)


def train(trainer: Trainer, plan: Plan) -> None:
    """Iterates until the budget is used or SIGTERM or SIGINT asks to stop."""
    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(True))
    before, start, saved = trainer.seconds, plan.clock(), time.monotonic()
    records = Records(trainer.out, trainer.classes.names, trainer.iteration)
    line_on_screen = Progress(trainer.plane.name, plan.progress)
    ahead = Ahead(trainer.batches, plan.workers, trainer.device.type == "cuda") if plan.workers else None
    with contextlib.closing(records), contextlib.closing(ahead) if ahead else contextlib.nullcontext():
        given = ahead.iterate(trainer.iteration) if ahead else None
        while not stop and (progress := plan.used(trainer)) < 1:
            line = trainer.step(progress, given)
            trainer.seconds = before + plan.clock() - start
            line.update(progress=round(progress, 4), seconds=round(trainer.seconds, 1))
            records.iteration(line)
            line_on_screen.update(line, plan.used(trainer))
            if plan.looks and trainer.iteration % plan.look_every == 0:
                take_look(trainer, plan.looks, records)
            if time.monotonic() - saved > plan.checkpoint_seconds:
                records.flush()
                trainer.save()
                saved = time.monotonic()
        if given:
            given.close()
        line_on_screen.end()
        records.flush()
        trainer.save()
    print(f"{trainer.plane.name}: {trainer.iteration} iterations in {trainer.seconds / 60:.1f} minutes", flush=True)


def take_look(trainer: Trainer, looks: tuple[str, Store], records: Records) -> None:
    """Dice of each class into validation.csv, a picture into pictures/."""
    name, store = looks
    seen = look(trainer.network, store, trainer.classes, trainer.plane)
    records.look(trainer.iteration, name, seen.dice, seen.picture)
    folder = trainer.out / "pictures"
    folder.mkdir(exist_ok=True)
    write_png(folder / f"{trainer.iteration:07}.png", seen.picture)


def parser() -> argparse.ArgumentParser:
    """The arguments; those of a training are shared with the launcher of all planes."""
    words = argparse.ArgumentParser(prog="contourd_training.train", description=__doc__.split("\n")[0])
    words.add_argument("--config", required=True, type=Path, help="the model's recipe (TOML)")
    words.add_argument("--store", required=True, type=Path, help="training store written by contourd")
    words.add_argument("--plane", required=True, choices=sorted(PLANES))
    words.add_argument("--out", required=True, type=Path, help="folder of the checkpoint and the log")
    words.add_argument("--from", dest="base", type=Path,
                       help="folder of an earlier run or of a model, to start with its network")
    words.add_argument("--alpha", type=float, help="first learning rate, instead of the recipe's")
    words.add_argument("--minutes", type=float, help="budget in minutes of training")
    words.add_argument("--iterations", type=int, help="budget in updates of the parameters")
    words.add_argument("--clock", choices=sorted(CLOCKS), default="wall",
                       help="of --minutes; processor: the time of all threads of this process, which other work does not change")
    words.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu", help="cpu, cuda:0, cuda:1, ...")
    words.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the network, on a CPU")
    words.add_argument("--workers", type=int, default=1, help="threads that prepare batches; 0: none of their own")
    words.add_argument("--validate", type=Path, help="held-out store for early looks; without it, the training store")
    words.add_argument("--validate-every", type=int, help="iterations between early looks [200 with --validate, else off]")
    words.add_argument("--progress", choices=["auto", "line", "lines", "none"], default="auto")
    words.add_argument("--checkpoint-seconds", type=float, default=60.0)
    words.add_argument("--dry-run", action="store_true", help="check data, recipe and memory, report all faults, do not train")
    return words


def checked(words: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuses arguments that make no sense together."""
    if not given.dry_run and not given.minutes and not given.iterations:
        words.error("give --minutes or --iterations, or both")
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        words.error(f"--device {given.device}: this PyTorch sees no CUDA device; give --device cpu")
    if given.validate_every is not None and given.validate_every < 1:
        words.error("--validate-every must be at least 1")


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Holds the folder of a run: two trainings that write one checkpoint would spoil it. The lock goes with the process,
    however it ends. Raises SystemExit."""
    with open(out / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise SystemExit(f"{out}: another training is at work in this folder; wait for it, or end it") from fault
        yield


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    words = parser()
    given = words.parse_args(arguments)
    checked(words, given)
    torch.set_num_threads(given.threads)
    if given.dry_run:
        sys.exit(dry_run(given.config, given.store, given.validate, [given.plane], given.device))
    given.out.mkdir(parents=True, exist_ok=True)
    with alone(given.out):
        run(given)


def run(given: argparse.Namespace) -> None:
    """Trains, from the checkpoint in the folder where there is one."""
    recipe = Recipe.read(given.config)
    if given.alpha:
        recipe = dataclasses.replace(recipe, optimiser=dataclasses.replace(recipe.optimiser, alpha_init=given.alpha))
    store = Store(given.store)
    trainer = Trainer(recipe, store, given.plane, given.out, given.device)
    if trainer.resume():
        print(f"{given.plane}: goes on after iteration {trainer.iteration}", flush=True)
    elif given.base:
        print(f"{given.plane}: {start_from(trainer, given.base)}", flush=True)
    write_run(given.out, recipe, store, given.device, given.threads, trainer.iteration)
    looks, every = None, given.validate_every or 200
    if given.validate:
        looks = ("held-out", held_out(given.validate, store))
    elif given.validate_every:
        looks = ("training", store)
    train(trainer, Plan(given.minutes, given.iterations, given.checkpoint_seconds, given.workers, given.progress, looks,
                        every, CLOCKS[given.clock]))


def held_out(folder: Path, training: Store) -> Store:
    """A store to look at while training, which must have the same classes and none of the heads."""
    store = Store(folder)
    if store.classes != training.classes:
        raise SystemExit(f"{folder}: has other classes than the training store; make it with the same classes")
    if shared := store.shares_with(training):
        raise SystemExit(f"{folder}: shares {shared} with the training store; Dice on them would say nothing")
    return store


if __name__ == "__main__":
    main()
