"""A training that is killed goes on as if it had not been."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from contourd_training import planes, train
from contourd_training.batches import Ahead, Batches
from contourd_training.config import Recipe
from contourd_training.records import Table, keep_until, trained_with
from contourd_training.trainer import read_checkpoint

ITERATIONS = 30


def words(recipe_file, store_folder, out, *more):
    return ["--config", str(recipe_file), "--store", str(store_folder), "--plane", "axial", "--out", str(out),
            "--iterations", str(ITERATIONS), "--threads", "1", "--checkpoint-seconds", "0.2", *more]


def started(arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(train.__file__).parents[1])}
    command = [sys.executable, "-m", "contourd_training.train", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_at_random_and_started_again_is_as_if_never_stopped(recipe_file, store_folder, tmp_path):
    train.main(words(recipe_file, store_folder, tmp_path / "whole", "--progress", "none"))
    dice = random.Random(os.urandom(8))
    out, kills = tmp_path / "killed", []
    for _ in range(2):
        job = started(words(recipe_file, store_folder, out))
        wanted = lines_of(out / "log.jsonl") + dice.randint(1, 12)
        while lines_of(out / "log.jsonl") < wanted and job.poll() is None:
            time.sleep(dice.random() * 0.05)
        job.send_signal(signal.SIGKILL)
        job.communicate()
        kills.append(lines_of(out / "log.jsonl"))
    # As a kill in the middle of writing leaves them.
    with open(out / "log.jsonl", "a") as log, open(out / "curves.csv", "a") as curves:
        log.write('{"iteration": 4')
        curves.write("4,0.1")
    job = started(words(recipe_file, store_folder, out))
    said, faults = job.communicate(timeout=300)
    assert job.returncode == 0, faults
    assert kills[0] < ITERATIONS and "goes on after iteration" in said, (kills, said)

    states = [read_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "killed")]
    assert states[0]["iteration"] == states[1]["iteration"] == ITERATIONS
    for key, value in states[0]["network"].items():
        assert torch.allclose(value, states[1]["network"][key], rtol=1e-4, atol=1e-6), key
    logs = [[json.loads(line) for line in (tmp_path / name / "log.jsonl").open()] for name in ("whole", "killed")]
    assert [line["iteration"] for line in logs[1]] == list(range(1, ITERATIONS + 1))
    for a, b in zip(*logs, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4) and a["alpha"] == b["alpha"]
    rows = list(csv.DictReader((out / "curves.csv").open()))
    assert [int(row["iteration"]) for row in rows] == list(range(1, ITERATIONS + 1))
    assert float(rows[-1]["loss_brain"]) == pytest.approx(logs[1][-1]["losses"][7], rel=1e-3)
    run = json.loads((out / "run.json").read_text())
    assert len(run["starts"]) == 3 and run["starts"][2]["iteration"] > 0 and run["seed"] == 5
    assert run["starts"][0]["command"].startswith("python3 -m contourd_training.train --config")
    assert run["store_sha256"] == states[1]["store_sha256"] and "torch" in run["starts"][0]["versions"]
    # A start that found everything done has trained nothing, whatever it would have trained with.
    run["starts"].append({**run["starts"][2], "iteration": ITERATIONS, "versions": {"torch": "another"}})
    (out / "run.json").write_text(json.dumps(run))
    trained = trained_with(out, ITERATIONS)
    assert len(trained) >= 2 and {"torch": "another"} not in trained


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    table = Table(tmp_path / "t.csv", ["a", "b"], 0)
    for n in range(1, 5):
        table.add(n, [n / 4, None])
    table.file.close()
    again = Table(tmp_path / "t.csv", ["a", "b"], 2)
    again.add(3, ["x", 1.0])
    again.file.close()
    assert (tmp_path / "t.csv").read_text() == "iteration,a,b\n1,0.25,\n2,0.5,\n3,x,1\n"
    keep_until(tmp_path / "none", 3, int)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_that_prepare_batches_change_nothing(store, classes, recipe_file, threads):
    batches = Batches(Recipe.read(recipe_file), store, classes, "coronal")
    ahead = Ahead(batches, threads, False)
    given = ahead.iterate(3)
    for number in range(6, 11):  # two batches an iteration
        image, truth = next(given)
        wanted = batches.make(number // 2, number % 2)
        assert torch.equal(image, wanted[0]) and torch.equal(truth, wanted[1])
    assert not np.array_equal(image, batches.make(0, 0)[0])
    given.close()
    ahead.close()


def test_the_launcher_gives_each_plane_a_device_and_stops_all_when_one_fails(tmp_path):
    assert planes.devices(["cuda:0", "cuda:1"]) == ["cuda:0", "cuda:1", "cuda:0"]
    job = planes.training(["--store", "s"], "coronal", tmp_path, 3)("cuda:1")
    assert job[-8:] == ["--plane", "coronal", "--out", str(tmp_path), "--device", "cuda:1", "--threads", "3"]
    waiting = ("import pathlib, signal, sys, time\n"
               "def stop(*_): pathlib.Path(sys.argv[1]).write_text('asked'); sys.exit(0)\n"
               "signal.signal(signal.SIGTERM, stop)\n"
               "pathlib.Path(sys.argv[1]).write_text('ready')\n"
               "time.sleep(60)")
    failing = ("import pathlib, sys, time\n"
               "while not all(pathlib.Path(p).exists() for p in sys.argv[1:]): time.sleep(0.05)\n"
               "sys.exit(7)")
    marks = [str(tmp_path / name) for name in ("a", "b")]
    start = time.monotonic()
    codes = planes.run_all({"axial": lambda _: [sys.executable, "-c", waiting, marks[0]],
                            "coronal": lambda _: [sys.executable, "-c", failing, *marks],
                            "sagittal": lambda _: [sys.executable, "-c", waiting, marks[1]],
                            "never": lambda _: [sys.executable, "-c", "raise SystemExit(0)"]}, ["cpu"] * 3)
    assert codes == {"axial": 0, "coronal": 7, "sagittal": 0, "never": 1} and time.monotonic() - start < 40
    assert [Path(mark).read_text() for mark in marks] == ["asked", "asked"]


def test_jobs_share_the_slots(tmp_path):
    # Each job says which slot it has and looks that no other has it at the same time.
    script = ("import os, pathlib, sys, time\n"
              "lock = pathlib.Path(sys.argv[1]); lock.touch(exist_ok=False); time.sleep(0.3); lock.unlink()")
    job = lambda slot: [sys.executable, "-c", script, str(tmp_path / slot)]
    assert planes.run_all({str(n): job for n in range(5)}, ["a", "b"]) == {str(n): 0 for n in range(5)}


def test_three_planes_are_trained_at_once(recipe_file, store_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(train.__file__).parents[1]))
    planes.main(["--config", str(recipe_file), "--store", str(store_folder), "--out", str(tmp_path / "run"),
                 "--iterations", "2", "--threads", "1", "--devices", "cpu", "--progress", "none"])
    for plane in ("axial", "coronal", "sagittal"):
        state = read_checkpoint(tmp_path / "run" / plane / "checkpoint.pt")
        assert (state["plane"], state["iteration"]) == (plane, 2)


def test_a_budget_in_time_is_by_the_clock_that_was_chosen(recipe_file, store_folder, tmp_path, monkeypatch, capsys):
    # A second passes each time that somebody looks.
    seconds = iter(range(1000))
    monkeypatch.setitem(train.CLOCKS, "processor", lambda: float(next(seconds)))
    timed = [word for word in words(recipe_file, store_folder, tmp_path / "timed", "--progress", "none")
             if word not in ("--iterations", str(ITERATIONS))]
    train.main([*timed, "--minutes", "0.1", "--clock", "processor"])
    assert "6 iterations in 0.1 minutes" in capsys.readouterr().out
