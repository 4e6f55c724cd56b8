"""The training store: working volumes and bit-encoded labels that `contourd` wrote, mapped, never copied."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


class StoreError(ValueError):
    """The store is damaged or of another version; the message names the file."""


@dataclass(frozen=True)
class Plane:
    """A slice orientation: the axes of a (z, y, x) volume that are fixed, that run along rows and along columns."""

    name: str
    normal: int
    rows: int
    cols: int

    def cut(self, volume: np.ndarray, index: int) -> np.ndarray:
        """Slice `index` of a (z, y, x) volume as a (rows, cols) view."""
        return volume[(slice(None),) * self.normal + (index,)]

    def size(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """Rows and columns of a slice of a volume of this (z, y, x) shape."""
        return shape[self.rows], shape[self.cols]


# Row j and column i of an axial slice; row k and column i of a coronal one; row k and column j of a sagittal one.
PLANES = {
    "axial": Plane("axial", 0, 1, 2),
    "coronal": Plane("coronal", 1, 0, 2),
    "sagittal": Plane("sagittal", 2, 0, 1),
}


@dataclass(frozen=True)
class Case:
    """One head. `boxes[c]` holds one (lo, hi) pair per present side of class c: inclusive (z, y, x) voxels."""

    name: str
    known: np.ndarray
    boxes: list[list[tuple[np.ndarray, np.ndarray]]]
    image: np.ndarray
    labels: np.ndarray


class Store:
    """A folder with store.json and two .npy files a case."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.text = (self.folder / "store.json").read_bytes()
        tree = json.loads(self.text)
        if tree.get("version") != 1:
            raise StoreError(f"{self.folder}/store.json: version {tree.get('version')} is not known (1 is)")
        self.classes: list[str] = tree["classes"]
        self.working: dict = tree["working"]
        if not 1 <= len(self.classes) <= 8:
            raise StoreError(f"{self.folder}/store.json: one byte of labels holds 1 to 8 classes")
        self.cases = [self._case(entry) for entry in tree["cases"]]
        if not self.cases:
            raise StoreError(f"{self.folder}/store.json: there is no case in it")

    @property
    def sha256(self) -> str:
        """Digest of store.json, which itself holds the digest of every array."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def images(self) -> set[str]:
        """Digests of the images, by which two stores can be told to share a head."""
        return {entry["image_sha256"] for entry in json.loads(self.text)["cases"]}

    def spacing(self, plane: Plane) -> tuple[float, float]:
        """Millimetres between rows and between columns of a slice."""
        zyx = self.working["spacing"][::-1]
        return zyx[plane.rows], zyx[plane.cols]

    def verify(self) -> None:
        """Reads every array and compares its file's digest with store.json; raises StoreError at the first fault."""
        for entry in json.loads(self.text)["cases"]:
            for kind in ("image", "labels"):
                path = self.folder / f"{entry['id']}.{kind}.npy"
                with open(path, "rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != entry[f"{kind}_sha256"]:
                    raise StoreError(f"{path}: its SHA-256 is not the one that store.json names")

    def _case(self, entry: dict) -> Case:
        name, shape = entry["id"], tuple(entry["shape"])
        arrays = {}
        for kind, dtype in (("image", np.float32), ("labels", np.uint8)):
            path = self.folder / f"{name}.{kind}.npy"
            array = np.load(path, mmap_mode="r")
            if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
                wanted = f"{dtype.__name__} {shape} in C order"
                raise StoreError(f"{path}: expected {wanted}, found {array.dtype} {array.shape}")
            arrays[kind] = array
        unknown = set(entry["known"]) | set(entry["boxes"])
        unknown -= set(self.classes)
        if unknown:
            raise StoreError(f"{self.folder}/store.json: case {name} names classes it does not list: {sorted(unknown)}")
        known = np.array([c in entry["known"] for c in self.classes])
        boxes = [[_zyx(box) for box in entry["boxes"].get(c, [])] for c in self.classes]
        for (lo, hi) in (pair for per_class in boxes for pair in per_class):
            if (lo < 0).any() or (lo > hi).any() or (hi >= shape).any():
                raise StoreError(f"{self.folder}/store.json: case {name} has a box outside its volume")
        return Case(name, known, boxes, arrays["image"], arrays["labels"])


def _zyx(box: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """[ilo, jlo, klo, ihi, jhi, khi] to two (z, y, x) corners."""
    return np.array(box[2::-1]), np.array(box[:2:-1])
