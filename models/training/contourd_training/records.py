"""What a training writes while it runs: log.jsonl, curves.csv, validation.csv, TensorBoard where it is installed, run.json,
and a line of progress on standard error."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import shlex
import sys
import time
from collections import deque
from pathlib import Path
from typing import Callable

import numpy as np
import torch

from . import __version__
from .config import Recipe
from .store import Store


def versions() -> dict[str, str]:
    """Releases of what trains."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__,
            "contourd_training": __version__}


def keep_until(path: Path, iteration: int, number_of: Callable[[str], int]) -> None:
    """Drops the lines of a file that were written after a checkpoint's iteration, and one that was cut short: a
    training that was killed writes them again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            good = line.endswith("\n") and number_of(line) <= iteration
        except ValueError:
            good = False
        if good:
            kept.append(line)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(kept), encoding="utf-8")
    os.replace(part, path)


class Table:
    """A CSV file whose first column is the iteration; goes on where a checkpoint was."""

    def __init__(self, path: Path, columns: list[str], iteration: int):
        header = ",".join(["iteration", *columns])
        keep_until(path, iteration, lambda line: 0 if line.rstrip("\n") == header else int(line.split(",")[0]))
        self.file = open(path, "a", encoding="utf-8")
        if self.file.tell() == 0:
            self.file.write(header + "\n")

    def add(self, iteration: int, values: list[float | str | None]) -> None:
        """One line; what is not known is left empty."""
        cells = ["" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in values]
        self.file.write(",".join([str(iteration), *cells]) + "\n")


class Board:
    """TensorBoard's curves and pictures, where it is installed."""

    def __init__(self, folder: Path, iteration: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.writer = None
            return
        self.writer = SummaryWriter(str(folder), purge_step=iteration + 1)

    def scalars(self, values: dict[str, float | None], iteration: int) -> None:
        """Curves by name."""
        for name, value in values.items() if self.writer else ():
            if value is not None:
                self.writer.add_scalar(name, value, iteration)

    def picture(self, image: np.ndarray, iteration: int) -> None:
        """An RGB picture uint8 (rows, columns, 3)."""
        if self.writer:
            self.writer.add_image("predictions", image, iteration, dataformats="HWC")


class Records:
    """All files of a run, opened to go on after `iteration`."""

    def __init__(self, out: Path, classes: list[str], iteration: int):
        self.classes = classes
        keep_until(out / "log.jsonl", iteration, lambda line: json.loads(line)["iteration"])
        self.log = open(out / "log.jsonl", "a", encoding="utf-8")
        self.curves = Table(out / "curves.csv", ["loss", "alpha", *(f"loss_{c}" for c in classes)], iteration)
        self.validation = Table(out / "validation.csv", ["store", "mean_dice", *(f"dice_{c}" for c in classes)], iteration)
        self.board = Board(out / "tensorboard", iteration)

    def iteration(self, line: dict) -> None:
        """What one update was."""
        self.log.write(json.dumps(line) + "\n")
        self.curves.add(line["iteration"], [line["loss"], line["alpha"], *line["losses"]])
        curves = {f"loss/{c}": v for c, v in zip(self.classes, line["losses"])}
        self.board.scalars({"loss": line["loss"], "alpha": line["alpha"], **curves}, line["iteration"])

    def look(self, iteration: int, store: str, dice: list[float | None], picture: np.ndarray) -> None:
        """What an early look saw: Dice of each class, None where the slices do not have it."""
        seen = [d for d in dice if d is not None]
        mean = sum(seen) / len(seen) if seen else None
        self.validation.add(iteration, [store, mean, *dice])
        self.board.scalars({"dice": mean, **{f"dice/{c}": d for c, d in zip(self.classes, dice)}}, iteration)
        self.board.picture(picture, iteration)

    def flush(self) -> None:
        """Before a checkpoint is written, everything up to it is in the files: none is missing after a kill."""
        for file in (self.log, self.curves.file, self.validation.file):
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """The end of a run."""
        self.flush()
        for file in (self.log, self.curves.file, self.validation.file):
            file.close()
        if self.board.writer:
            self.board.writer.close()


def write_run(out: Path, recipe: Recipe, store: Store, device: str, threads: int, iteration: int) -> None:
    """run.json: the configuration and data of the run, and for every start its command, time, machine and versions."""
    path = out / "run.json"
    starts = json.loads(path.read_text(encoding="utf-8"))["starts"] if path.exists() else []
    module = getattr(sys.modules["__main__"], "__spec__", None)
    command = ["python3", "-m", module.name, *sys.argv[1:]] if module else sys.argv
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    starts.append({"time": now, "iteration": iteration, "command": shlex.join(command), "device": f"{device} ({name})",
                   "threads": threads, "versions": versions()})
    tree = {"recipe": dataclasses.asdict(recipe), "seed": recipe.seed, "store": str(store.folder),
            "store_sha256": store.sha256, "cases": len(store.cases), "starts": starts}
    part = path.with_name("run.json.part")
    part.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def trained_with(out: Path, iterations: int) -> list[dict[str, str]]:
    """Versions of what made a run's iterations, a start each; starts that only found it finished are none."""
    starts = json.loads((out / "run.json").read_text(encoding="utf-8"))["starts"]
    ends = [*(start["iteration"] for start in starts[1:]), iterations]
    return [start["versions"] for start, end in zip(starts, ends) if end > start["iteration"]]


class Progress:
    """One line on standard error: rewritten on a terminal, else a new one every half minute."""

    EVERY_SECONDS = 30.0

    def __init__(self, plane: str, style: str):
        self.plane, self.style = plane, style
        if style == "auto":
            self.style = "line" if sys.stderr.isatty() else "lines"
        self.recent: deque[tuple[float, float]] = deque(maxlen=200)
        self.said = time.monotonic()

    def update(self, line: dict, progress: float) -> None:
        """After each update of the parameters; `progress` is the part of the budget (0 to 1) that is used."""
        now = time.monotonic()
        self.recent.append((now, progress))
        pause = 0.5 if self.style == "line" else self.EVERY_SECONDS
        if self.style == "none" or now - self.said < pause or len(self.recent) < 2:
            return
        self.said = now
        text = self.text(line)
        sys.stderr.write(f"\r{text}\x1b[K" if self.style == "line" else text + "\n")
        sys.stderr.flush()

    def text(self, line: dict) -> str:
        """Iteration, part done, loss, rate over the last updates and what is left at this rate."""
        (t0, p0), (t1, p1) = self.recent[0], self.recent[-1]
        rate = (len(self.recent) - 1) / max(t1 - t0, 1e-9)
        left = (1 - p1) / (p1 - p0) * (t1 - t0) if p1 > p0 else None
        ends = "-" if left is None else str(datetime.timedelta(seconds=round(left)))
        return (f"{self.plane}: iteration {line['iteration']}, {100 * p1:.0f} %, loss {line['loss']:.3f}, "
                f"{rate:.2f} iterations/s, {ends} left")

    def end(self) -> None:
        """Leaves the line on a terminal."""
        if self.style == "line":
            sys.stderr.write("\n")
