"""Store, sampling and targets against the volumes themselves."""

import json

import numpy as np
import pytest
import torch
from conftest import CLASSES, write_store

from contourd_training.classes import Classes
from contourd_training.sampling import Sampler, overlap, swap_sides, targets
from contourd_training.store import PLANES, Store, StoreError, check_digests, label_type


def test_the_store_maps_its_arrays(store):
    case = store.cases[0]
    assert isinstance(case.image.base, np.memmap) or isinstance(case.image, np.memmap)
    assert case.image.shape == (44, 60, 52) and not case.image.flags.writeable
    assert store.spacing(PLANES["coronal"]) == (0.9, 0.7) and store.spacing(PLANES["axial"]) == (0.7, 0.7)


def test_boxes_are_turned_to_zyx_and_hold_exactly_the_class(store):
    for case in store.cases:
        for c, boxes in enumerate(case.boxes):
            marked = np.argwhere(case.labels >> c & 1)
            covered = np.zeros(case.labels.shape, bool)
            for lo, hi in boxes:
                covered[lo[0]:hi[0] + 1, lo[1]:hi[1] + 1, lo[2]:hi[2] + 1] = True
            assert covered[tuple(marked.T)].all()
            if len(boxes) == 1:
                assert (marked.min(0) == boxes[0][0]).all() and (marked.max(0) == boxes[0][1]).all()


@pytest.mark.parametrize("plane", PLANES)
def test_a_slice_is_the_one_the_brief_of_the_planes_describes(plane):
    k, j, i = np.meshgrid(*(np.arange(n) for n in (3, 4, 5)), indexing="ij")
    volume = 100 * k + 10 * j + i
    cut = PLANES[plane].cut(volume, 2)
    expected = {"axial": [[200 + 10 * j + i for i in range(5)] for j in range(4)],
                "coronal": [[100 * k + 20 + i for i in range(5)] for k in range(3)],
                "sagittal": [[100 * k + 10 * j + 2 for j in range(4)] for k in range(3)]}[plane]
    assert cut.tolist() == expected and PLANES[plane].size(volume.shape) == cut.shape


def test_damage_is_refused(tmp_path):
    folder = write_store(tmp_path / "s", 1, 5)
    text = (folder / "store.json").read_text()

    def refused(change, match):
        tree = json.loads(text)
        change(tree)
        (folder / "store.json").write_text(json.dumps(tree))
        with pytest.raises(StoreError, match=match):
            Store(folder)

    refused(lambda t: t.update(version=2), "version 2")
    refused(lambda t: t.update(cases=[]), "no case")
    refused(lambda t: t["cases"][0]["known"].append("toe"), "toe")
    refused(lambda t: t["cases"][0].update(shape=[44, 52, 60]), "expected float32")
    refused(lambda t: t["cases"][0]["boxes"]["eye"][0].__setitem__(3, 52), "outside its volume")
    # What is wrong with several cases is said at once.
    entry = json.loads(text)["cases"][0]
    refused(lambda t: t["cases"].extend([{**entry, "id": "gone"}, {**entry, "id": "away"}]), "(?s)gone.*away")
    assert check_digests(folder, entry) == []
    faults = check_digests(folder, {**entry, "labels_sha256": "0" * 64})
    assert len(faults) == 1 and "case0.labels.npy: its SHA-256" in faults[0]


@pytest.mark.parametrize("plane", PLANES)
def test_each_patch_is_centred_in_a_box_of_its_class(store, plane):
    sampler = Sampler(store, PLANES[plane], 10)
    assert [sampler.class_of(m) for m in range(10)] == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]
    rng = np.random.default_rng(0)
    for c in range(len(CLASSES)):
        sides = set()
        for _ in range(60):
            case, voxel = sampler.draw_centre(rng, c)
            inside = [bool((lo <= voxel).all() and (voxel <= hi).all()) for lo, hi in case.boxes[c]]
            assert case.known[c] and any(inside)
            sides.add((case.name, inside.index(True)))
        # Every case that has the class is drawn, and every box of it.
        assert sides == {(case.name, n) for case in store.cases for n in range(len(case.boxes[c]))}


def test_both_ends_of_a_box_are_drawn(store):
    sampler = Sampler(store, PLANES["axial"], 1)
    rng = np.random.default_rng(1)
    drawn = [(case.name, tuple(voxel)) for case, voxel in (sampler.draw_centre(rng, 1) for _ in range(3000))]
    lo, hi = store.cases[2].boxes[1][0]
    mine = np.array([voxel for name, voxel in drawn if name == "case2"])
    assert (mine.min(0) == lo).all() and (mine.max(0) == hi).all()


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("size", [(24, 30), (70, 81)])
def test_a_patch_is_cut_around_its_centre_and_empty_beyond_the_volume(store, plane, size):
    sampler = Sampler(store, PLANES[plane], 9)
    batch = sampler.draw(np.random.default_rng(4), size)
    rng = np.random.default_rng(4)
    for m in range(9):
        case, voxel = sampler.draw_centre(rng, sampler.class_of(m))
        p = PLANES[plane]
        for r in range(size[0]):
            for c in range(0, size[1], 7):
                at = voxel.copy()
                at[p.rows] += r - size[0] // 2
                at[p.cols] += c - size[1] // 2
                within = bool((at >= 0).all() and (at < case.image.shape).all())
                assert bool(batch.inside[m, r, c]) == within
                assert float(batch.image[m, 0, r, c]) == (case.image[tuple(at)] if within else 0)
                assert int(batch.bits[m, r, c]) == (case.labels[tuple(at)] if within else 0)
        assert batch.known[m].tolist() == case.known.tolist()


def test_overlap_by_hand():
    # A patch of 4 x 6 around (1, 8) of a 5 x 9 slice: rows -1..2, columns 5..10.
    assert overlap((5, 9), (1, 8), (4, 6)) == ((slice(1, 4), slice(0, 4)), (slice(0, 3), slice(5, 9)))


def test_targets_with_unknown_classes_and_what_they_imply(classes):
    bit = {c: 1 << n for n, c in enumerate(CLASSES)}
    # Pixels: nothing; eye; eye and lens; brain; brain and brainstem; beyond the volume.
    row = [0, bit["eye"], bit["eye"] | bit["lens"], bit["brain"], bit["brain"] | bit["brainstem"], 0]
    bits = torch.tensor([[row]] * 2, dtype=torch.uint8)
    inside = torch.tensor([[[True] * 5 + [False]]] * 2)
    known = torch.ones(2, 8, dtype=torch.bool)
    for c in ("lens", "hippocampus"):
        known[1, CLASSES.index(c)] = False
    out = targets(bits, inside, known, classes)
    expect = lambda m, c: out[m, CLASSES.index(c), 0].tolist()
    assert expect(0, "eye") == [0, 1, 1, 0, 0, -1]
    assert expect(0, "lens") == [0, 0, 1, 0, 0, -1]
    assert expect(0, "brain") == [0, 0, 0, 1, 1, -1]
    # Unknown: 0 outside the segmented eye (brain), unknown inside it.
    assert expect(1, "lens") == [0, -1, -1, 0, 0, -1]
    assert expect(1, "hippocampus") == [0, 0, 0, -1, -1, -1]
    assert expect(1, "brainstem") == [0, 0, 0, 0, 1, -1]
    # When the enclosing class is unknown as well, nothing is implied.
    known[1, CLASSES.index("eye")] = False
    out = targets(bits, inside, known, classes)
    assert expect(1, "lens") == [-1] * 6 and expect(1, "eye") == [-1] * 6
    # A known enclosed class tells where the enclosing one is, and nothing about the rest.
    known[1] = True
    known[1, CLASSES.index("brain")] = False
    out = targets(bits, inside, known, classes)
    assert expect(1, "brain") == [-1, -1, -1, -1, 1, -1]


@pytest.mark.parametrize("count, dtype", [(8, torch.uint8), (9, torch.int32), (16, torch.int32), (17, torch.int64),
                                          (32, torch.int64)])
def test_words_of_many_classes_are_cut_and_read_to_their_last_bit(tmp_path, count, dtype):
    names = [f"organ{n}" for n in range(count)]
    folder, shape = tmp_path / "s", (6, 7, 8)
    folder.mkdir()
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2**count, shape, dtype=np.uint64).astype(label_type(count))
    np.save(folder / "a.image.npy", rng.random(shape, dtype=np.float32))
    np.save(folder / "a.labels.npy", labels)
    entry = {"id": "a", "patient": "p", "known": names, "shape": shape, "boxes": {n: [[0, 0, 0, 7, 6, 5]] for n in names},
             "image_sha256": "", "labels_sha256": ""}
    working = {"spacing": [1.0, 1.0, 1.0]}
    tree = {"version": 1, "classes": names, "working": working, "cases": [entry]}
    (folder / "store.json").write_text(json.dumps(tree))
    store = Store(folder)
    assert store.cases[0].patient == "p"
    batch = Sampler(store, PLANES["axial"], 2).draw(np.random.default_rng(2), (15, 17))
    assert batch.bits.dtype == dtype
    all_of = Classes(names, [], list(range(count)), [])
    out = targets(batch.bits, batch.inside, batch.known, all_of)
    for m in range(2):
        row, col = np.argwhere(batch.inside[m].numpy())[0]
        k = next(k for k in range(6) if int(batch.bits[m, row, col]) == int(labels[k, 0, 0]))
        for c in range(count):
            found = out[m, c, row:row + 7, col:col + 8].numpy()
            assert (found == (labels[k] >> label_type(count).type(c) & 1)).all()
    assert int((out == -1).sum()) == 2 * count * (15 * 17 - 7 * 8)


def test_flipped_words_swap_the_sides():
    # Classes 0 and 31 are the two sides of one organ, class 5 is on the midline.
    mirror = list(range(32))
    mirror[0], mirror[31] = 31, 0
    bits = torch.tensor([[1, 1 << 31, 1 << 5, (1 << 5) | 1, 0]])
    known = torch.tensor([True] + [False] * 31)
    swapped, seen = swap_sides(bits, known, mirror)
    assert swapped.tolist() == [[1 << 31, 1, 1 << 5, (1 << 5) | (1 << 31), 0]]
    assert seen.tolist() == [False] * 31 + [True]
