"""What a person sees of a training: pictures, early Dice, progress."""

import csv
import struct
import zlib

import numpy as np
import pytest
import torch
from conftest import write_store

from contourd_training import look as look_module
from contourd_training import records, train
from contourd_training.config import NetworkConfig, Recipe
from contourd_training.picture import outline, panel, sheet, write_png
from contourd_training.store import PLANES
from contourd_training.trainer import Trainer
from contourd_training.unet import UNet


def read_png(path):
    """An independent reading: chunks with their check sums, one unfiltered truecolour image."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body, check = data[at + 8:at + 8 + length], data[at + 8 + length:at + 12 + length]
        assert struct.unpack(">I", check)[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    columns, rows, depth, colour, *others = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, others) == (8, 2, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[1][1]), np.uint8).reshape(rows, 1 + 3 * columns)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:].reshape(rows, columns, 3)


def test_a_picture_reads_back(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", image)
    assert (read_png(tmp_path / "a.png") == image).all()


def test_outlines_by_hand(classes):
    mask = np.zeros((5, 5), bool)
    mask[1:4, 0:4] = True
    drawn = outline(mask)
    assert drawn.sum() == 3 * 4 - 2 and not drawn[2, 1:3].any() and drawn[2, 0]
    marked = np.zeros((8, 5, 5), bool)
    marked[7, 1:4, 1:4], marked[1, 1, 1] = True, True  # the lens lies on the brain's outline and is not hidden
    seen = panel(np.full((5, 5), 500.0, np.float32), marked, classes, 1000.0)
    assert tuple(seen[1, 1]) == (0, 191, 255) and tuple(seen[1, 2]) == (216, 54, 149) and tuple(seen[2, 2]) == (127,) * 3
    assert (sheet([[seen, seen]], True)[:5, :5] == seen[::-1]).all()


@pytest.mark.parametrize("plane", PLANES)
def test_a_look_changes_nothing_and_sees_every_class(store, classes, plane):
    torch.manual_seed(3)
    network = UNet(NetworkConfig(base_width=2, poolings=1, padding="same"), 8).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    seen = look_module.look(network, store, classes, PLANES[plane])
    assert network.training and all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert len(seen.dice) == 8 and all(d is not None and 0 < d < 1 for d in seen.dice)
    rows, cols = PLANES[plane].size(store.cases[0].image.shape)
    assert seen.picture.shape == (3 * (rows + 2), 3 * (cols + 2), 3)
    # The truth (second column) has outlines in colour, the image (first column) has none.
    image, truth = seen.picture[:, :cols], seen.picture[:, cols + 2:2 * cols + 2]
    coloured = lambda part: (part.max(-1) != part.min(-1)).sum()
    assert coloured(image) == 0 and coloured(truth) > 50


def test_a_training_writes_looks_and_pictures(recipe_file, store_folder, tmp_path):
    heldout = write_store(tmp_path / "heldout", 2, 55)
    words = ["--config", str(recipe_file), "--store", str(store_folder), "--plane", "axial", "--out", str(tmp_path / "run"),
             "--iterations", "4", "--threads", "1", "--progress", "none", "--validate-every", "2"]
    train.main([*words, "--validate", str(heldout)])
    rows = list(csv.DictReader((tmp_path / "run" / "validation.csv").open()))
    assert [(row["iteration"], row["store"]) for row in rows] == [("2", "held-out"), ("4", "held-out")]
    assert all(0 < float(row["dice_brain"]) <= 1 for row in rows)
    assert sorted(p.name for p in (tmp_path / "run" / "pictures").iterdir()) == ["0000002.png", "0000004.png"]
    read_png(tmp_path / "run" / "pictures" / "0000004.png")
    with pytest.raises(SystemExit, match="shares heads"):
        train.main([*words, "--validate", str(store_folder)])


def test_progress_says_rate_and_what_is_left(capsys):
    progress = records.Progress("axial", "none")
    for n in range(11):
        progress.recent.append((100.0 + n / 2, n / 100))
    assert progress.text({"iteration": 10, "loss": 0.25}) == (
        "axial: iteration 10, 10 %, loss 0.250, 2.00 iterations/s, 0:00:45 left")


def test_half_precision_and_memory_order_train_as_well(recipe_file, store, tmp_path):
    text = recipe_file.read_text()
    lost = {}
    for amp in ("false", "true"):
        recipe_file.write_text(text + f"[compute]\namp = {amp}\nchannels_last = {amp}\n")
        trainer = Trainer(Recipe.read(recipe_file), store, "axial", tmp_path)
        lost[amp] = [trainer.step(0.0)["loss"] for _ in range(3)]
    assert lost["true"] == pytest.approx(lost["false"], rel=0.05) and lost["true"] != lost["false"]
