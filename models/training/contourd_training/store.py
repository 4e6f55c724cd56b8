"""The training store: working volumes and bit-encoded labels that `contourd` wrote, mapped, never copied."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .classes import MOST


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


# Labels of a voxel are one word: bit c is class c. NumPy's type for so many classes.
def label_type(classes: int) -> np.dtype:
    """uint8 for up to 8 classes, little-endian uint16 up to 16, uint32 up to 32."""
    return np.dtype("u1" if classes <= 8 else "<u2" if classes <= 16 else "<u4")


@dataclass(frozen=True)
class Case:
    """One head. `boxes[c]` holds one (lo, hi) pair per present side of class c: inclusive (z, y, x) voxels. `patient`
    is who it is of: the cases of one patient are never split between training and measuring."""

    name: str
    patient: str
    known: np.ndarray
    boxes: list[list[tuple[np.ndarray, np.ndarray]]]
    image: np.ndarray
    labels: np.ndarray


class Store:
    """A folder with store.json and two .npy files a case.

    Raises StoreError that names everything wrong with what can be seen without reading the arrays.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.text, self.tree = read_tree(self.folder)
        self.classes: list[str] = self.tree["classes"]
        self.described: list[dict] = self.tree.get("class", [])
        self.working: dict = self.tree["working"]
        self.cases: list[Case] = []
        faults = []
        for entry in self.tree["cases"]:
            try:
                self.cases.append(read_case(self.folder, entry, self.classes))
            except StoreError as fault:
                faults.append(str(fault))
        if faults:
            raise StoreError("\n".join(faults))

    @property
    def sha256(self) -> str:
        """Digest of store.json, which itself holds the digest of every array."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def images(self) -> set[str]:
        """Digests of the images, by which two stores can be told to share a head."""
        return {entry["image_sha256"] for entry in self.tree["cases"]}

    @property
    def labels(self) -> dict[str, str]:
        """Digest of the labels of each image, by the image's."""
        return {entry["image_sha256"]: entry["labels_sha256"] for entry in self.tree["cases"]}

    @property
    def implied(self) -> dict[str, str]:
        """Which class encloses which, as far as the cases say so: class = the class around it."""
        return {inner: outer for entry in self.tree["cases"] for inner, outer in entry.get("implied", {}).items()}

    def shares_with(self, other: Store) -> str:
        """What two stores have in common that must not be trained on and measured: heads, or patients; empty when
        nothing. Patients of two stores can be compared where their keys were made with one salt."""
        if self.images & other.images:
            return "heads"
        ours, theirs = ({entry["patient"] for entry in s.tree["cases"] if "patient" in entry} for s in (self, other))
        return "patients" if ours & theirs else ""

    def spacing(self, plane: Plane) -> tuple[float, float]:
        """Millimetres between rows and between columns of a slice."""
        zyx = self.working["spacing"][::-1]
        return zyx[plane.rows], zyx[plane.cols]


def read_tree(folder: Path) -> tuple[bytes, dict]:
    """store.json as bytes and as a tree, whose version and classes can be read."""
    path = folder / "store.json"
    if not path.is_file():
        raise StoreError(f"{folder}: there is no store.json in it; give the folder that contourd wrote a store into")
    text = path.read_bytes()
    try:
        tree = json.loads(text)
    except ValueError as fault:
        raise StoreError(f"{path}: cannot be read as JSON: {fault}") from fault
    if tree.get("version") != 1:
        raise StoreError(f"{path}: version {tree.get('version')} is not known (1 is)")
    if not 1 <= len(tree["classes"]) <= MOST or len(set(tree["classes"])) < len(tree["classes"]):
        raise StoreError(f"{path}: needs 1 to {MOST} classes of different names")
    if not tree["cases"]:
        raise StoreError(f"{path}: there is no case in it")
    return text, tree


def check_digests(folder: Path, entry: dict) -> list[str]:
    """Reads the files of a case; what is wrong with their digests."""
    faults = []
    for kind in ("image", "labels"):
        path = folder / f"{entry['id']}.{kind}.npy"
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != entry[f"{kind}_sha256"]:
            faults.append(f"{path}: its SHA-256 is not the one that store.json names; make the case again")
    return faults


def read_case(folder: Path, entry: dict, classes: list[str]) -> Case:
    """Maps the arrays of one case. Raises StoreError."""
    name, shape = entry["id"], tuple(entry["shape"])
    arrays = {}
    for kind, dtype in (("image", np.dtype(np.float32)), ("labels", label_type(len(classes)))):
        path = folder / f"{name}.{kind}.npy"
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as fault:
            raise StoreError(f"{path}: cannot be read: {fault}") from fault
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise StoreError(f"{path}: expected {dtype} {shape} in C order, found {array.dtype} {array.shape}")
        arrays[kind] = array
    unknown = (set(entry["known"]) | set(entry["boxes"])) - set(classes)
    if unknown:
        raise StoreError(f"{folder}/store.json: case {name} names classes it does not list: {sorted(unknown)}")
    known = np.array([c in entry["known"] for c in classes])
    boxes = [[_zyx(box) for box in entry["boxes"].get(c, [])] for c in classes]
    for (lo, hi) in (pair for per_class in boxes for pair in per_class):
        if (lo < 0).any() or (lo > hi).any() or (hi >= shape).any():
            raise StoreError(f"{folder}/store.json: case {name} has a box outside its volume")
    return Case(name, entry.get("patient", name), known, boxes, arrays["image"], arrays["labels"])


def _zyx(box: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """[ilo, jlo, klo, ihi, jhi, khi] to two (z, y, x) corners."""
    return np.array(box[2::-1]), np.array(box[:2:-1])
