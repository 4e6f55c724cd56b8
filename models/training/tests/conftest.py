"""Small training stores, made here: lopsided shapes, unequal extents, one class unknown in one case; eight classes, or
nine with the cochlea."""

import hashlib
import json

import numpy as np
import pytest

from contourd_training.classes import resolve
from contourd_training.store import Store, label_type

CLASSES = ["eye", "lens", "optic_nerve", "chiasm", "pituitary", "hippocampus", "brainstem", "brain"]
IMPLIED = {"lens": "eye", "hippocampus": "brain", "brainstem": "brain"}
COCHLEA = {"name": "cochlea", "sided": True, "structures": ["Cochlea_L", "Cochlea_R"],
           "colours": [[170, 110, 255], [104, 60, 184]], "rules": "largest_component",
           "code": {"value": "80169004", "scheme": "SCT", "meaning": "Cochlea"}}
WORKING = {"spacing": [0.7, 0.7, 0.9], "shape": [52, 60, 44], "intensity_rule": "maximum", "intensity_scale": 1000.0,
           "margin_top": 4.5}

# class: ellipsoids (centre z, y, x; radii z, y, x; brightness), left and right unequal.
SHAPES = {
    "brain": [((22, 36, 27), (15, 17, 18), 500)],
    "brainstem": [((10, 40, 25), (6, 5, 4), 420)],
    "hippocampus": [((18, 34, 16), (3, 6, 3), 350), ((19, 36, 39), (3, 5, 3), 350)],
    "pituitary": [((11, 30, 26), (2, 2, 3), 900)],
    "chiasm": [((14, 26, 26), (2, 2, 5), 700)],
    "optic_nerve": [((14, 17, 17), (2, 6, 2), 650), ((13, 18, 35), (2, 5, 2), 650)],
    "eye": [((14, 8, 13), (5, 5, 5), 150), ((13, 9, 38), (5, 5, 6), 150)],
    "lens": [((14, 5, 13), (1, 1, 2), 800), ((13, 6, 38), (1, 1, 2), 800)],
    "cochlea": [((8, 38, 9), (2, 2, 2), 950), ((8, 39, 43), (2, 2, 2), 950)],
}


def write_store(folder, cases: int, seed: int, classes=CLASSES, described=()):
    """Writes `cases` noisy, shifted copies of the shapes; in case 1 lens and brainstem were not segmented, in case 2
    the right eye is missing."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    shape = tuple(WORKING["shape"][::-1])
    zyx = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    entries = []
    for n in range(cases):
        image = rng.normal(40, 15, shape)
        labels = np.zeros(shape, label_type(len(classes)))
        known = [c for c in classes if n != 1 or c not in ("lens", "brainstem")]
        shift = rng.integers(-2, 3, 3)
        boxes = {}
        for name, sides in ((name, SHAPES[name]) for name in SHAPES if name in classes):
            for centre, radii, brightness in sides[: 1 if n == 2 and name in ("eye", "lens") else 2]:
                inside = (((zyx - (np.array(centre) + shift)) / radii) ** 2).sum(-1) <= 1
                image[inside] = brightness + rng.normal(0, 20, inside.sum())
                if name in known:
                    labels[inside] |= labels.dtype.type(1 << classes.index(name))
                    where = np.argwhere(inside)
                    boxes.setdefault(name, []).append([*map(int, where.min(0)[::-1]), *map(int, where.max(0)[::-1])])
        entry = {"id": f"case{n}", "seed": n, "known": known, "shape": list(shape), "boxes": boxes}
        for kind, array in (("image", np.clip(image, 0, 1000).astype(np.float32)), ("labels", labels)):
            path = folder / f"case{n}.{kind}.npy"
            np.save(path, array)
            entry[f"{kind}_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(entry)
    tree = {"version": 1, "classes": list(classes), "working": WORKING, "generator": "tests", "cases": entries}
    if described:
        tree["class"] = list(described)
    (folder / "store.json").write_text(json.dumps(tree), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "train", 4, 7)


@pytest.fixture(scope="session")
def store(store_folder):
    return Store(store_folder)


@pytest.fixture(scope="session")
def classes(store):
    return resolve(store.classes, [], [], IMPLIED, {})


RECIPE = """
seed = 5
[model]
name = "toy"
version = "1"
licence = "Apache-2.0"
statement = "Research use only: a \\"toy\\"."
data = "None."
[implied]
lens = "eye"
hippocampus = "brain"
brainstem = "brain"
[network]
base_width = 4
poolings = 2
padding = "same"
[sampling]
batch = 9
patch = { axial = [32, 40], coronal = [32, 32], sagittal = [32, 32] }
[optimiser]
accumulate = 2
window = 6
anneal = true
[augmentation]
rotation = 8.0
gain = [0.8, 1.2]
noise = 0.02
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(RECIPE)
    return path
