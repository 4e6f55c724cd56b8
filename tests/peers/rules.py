"""The rules on a whole working grid, made a second time with scipy and connected-components-3d, timed and compared.

    rules.py FOLDER

FOLDER/case.json: {"size": [i, j, k], "spacing": [mm, mm, mm], "origin": [x, y, z], "runs": n, "stages": {NAME: {"plane":
{"normal": [...], "point": [...]}, "rules": {...}}}} with the values of the configuration's `[rules]`. FOLDER/labels: a
byte a voxel, i fastest, bit c is class c. FOLDER/ours.NAME: our result of each operation. Writes FOLDER/theirs.json: for
each operation the seconds of every run and the number of voxels that differ.

Written to be fast: everything is cropped to its box, components are cc3d's, and where there are several ways the fastest
was taken (holes: scipy's binary_fill_holes and scipy's label on planes are both slower than cc3d on planes; sizes of
components: numpy's bincount).
"""

import json
import pathlib
import sys
import time

import cc3d
import numpy as np
from scipy import ndimage

EYE, LENS, NERVE, CHIASM, PITUITARY, HIPPOCAMPUS, BRAINSTEM, BRAIN = range(8)
BESIDE = np.ones((3, 3, 3), bool)


class Part:
    """A mask on the box of a grid that holds it; `lo` is its first voxel. Arrays are indexed k, j, i."""

    def __init__(self, mask, lo):
        self.mask, self.lo = mask, lo

    def box(self):
        return tuple(slice(lo, lo + n) for lo, n in zip(self.lo, self.mask.shape))

    def on(self, shape):
        whole = np.zeros(shape, bool)
        whole[self.box()] = self.mask
        return whole

    def any(self):
        return bool(self.mask.any())


def parts_of(labels):
    parts = []
    for c in range(8):
        mask = (labels & (1 << c)) != 0
        rows = mask.any(axis=2)
        k, j = np.flatnonzero(rows.any(axis=1)), np.flatnonzero(rows.any(axis=0))
        if k.size == 0:
            parts.append(Part(np.zeros((1, 1, 1), bool), (0, 0, 0)))
            continue
        cut = mask[k[0] : k[-1] + 1, j[0] : j[-1] + 1]
        i = np.flatnonzero(cut.any(axis=(0, 1)))
        parts.append(Part(np.ascontiguousarray(cut[:, :, i[0] : i[-1] + 1]), (int(k[0]), int(j[0]), int(i[0]))))
    return parts


def largest(mask):
    labels, n = cc3d.connected_components(mask, connectivity=26, return_N=True)
    if n < 2:
        return mask.copy()
    sizes = np.bincount(labels.ravel())
    return labels == 1 + sizes[1:].argmax()


def without_small(mask, least):
    labels, n = cc3d.connected_components(mask, connectivity=26, return_N=True)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    keep = sizes >= least
    keep[0] = False
    return keep[labels]


def fill_planes(mask, least):
    closed = np.zeros(mask.shape, np.uint8)
    for axis in range(3):
        planes, out = np.moveaxis(mask, axis, 0), np.moveaxis(closed, axis, 0)
        ring = np.ones((planes.shape[1] + 2, planes.shape[2] + 2), bool)
        for n in range(planes.shape[0]):
            if planes[n].any():
                # A ring of background joins all of the border.
                ring[1:-1, 1:-1] = ~planes[n]
                labels, count = cc3d.connected_components(ring, connectivity=4, return_N=True)
                if count > 1:
                    out[n] += labels[1:-1, 1:-1] > 1
    return mask | (closed >= least)


def fill_planes_scipy(mask, least):
    closed = np.zeros(mask.shape, np.uint8)
    for axis in range(3):
        planes, out = np.moveaxis(mask, axis, 0), np.moveaxis(closed, axis, 0)
        for n in range(planes.shape[0]):
            if planes[n].any():
                out[n] += ndimage.binary_fill_holes(planes[n]) & ~planes[n]
    return mask | (closed >= least)


def overlap(part, other):
    """What of `other` lies on the box of `part`."""
    out = np.zeros(part.mask.shape, bool)
    lo = [max(a, b) for a, b in zip(part.lo, other.lo)]
    hi = [min(a + n, b + m) for a, n, b, m in zip(part.lo, part.mask.shape, other.lo, other.mask.shape)]
    if all(a < b for a, b in zip(lo, hi)):
        to = tuple(slice(a - o, b - o) for a, b, o in zip(lo, hi, part.lo))
        of = tuple(slice(a - o, b - o) for a, b, o in zip(lo, hi, other.lo))
        out[to] = other.mask[of]
    return out


def lens_in_eyes(lens, eyes):
    inside = np.zeros(lens.mask.shape, bool)
    for eye in eyes:
        inside |= overlap(lens, eye)
    return lens.mask & inside


def on_brain(part, brain):
    """The components that touch the brain."""
    grown = Part(np.pad(part.mask, 1), tuple(n - 1 for n in part.lo))
    near = ndimage.binary_dilation(overlap(grown, brain), BESIDE)[1:-1, 1:-1, 1:-1]
    labels, n = cc3d.connected_components(part.mask, connectivity=26, return_N=True)
    keep = np.zeros(n + 1, bool)
    keep[np.unique(labels[near])] = True
    keep[0] = False
    return keep[labels]


def opening(mask):
    for axis in (2, 1, 0):  # along i first: the order matters
        shape = [1, 1, 1]
        shape[axis] = 2
        mask = ndimage.binary_opening(mask, np.ones(shape, bool))
    return mask


class Stage:
    """All rules but the nerves' paths, and but the plane between the sides, which is given."""

    def __init__(self, case, name):
        stage = case["stages"][name]
        self.rules = stage["rules"]
        self.head_axes = self.rules["sides"] == "head_axes"
        self.spacing = np.array(case["spacing"][::-1])
        self.origin = np.array(case["origin"][::-1])
        self.normal = np.array(stage["plane"]["normal"][::-1])
        self.point = np.array(stage["plane"]["point"][::-1])

    def places(self, part, at):
        return self.origin + (np.array(at).T + part.lo) * self.spacing

    def split(self, part):
        """Left and right: each component by its barycentre; in the head's axes what lies on both sides is cut."""
        labels, n = cc3d.connected_components(part.mask, connectivity=26, return_N=True)
        at = np.nonzero(labels)
        label = labels[at]
        distance = (self.places(part, at) - self.point) @ self.normal
        left = distance >= 0
        count = np.bincount(label, minlength=n + 1)
        on = [np.bincount(label[side], minlength=n + 1) for side in (left, ~left)]
        reach = [np.zeros(n + 1), np.zeros(n + 1)]
        for side, far in zip((left, ~left), reach):
            np.maximum.at(far, label[side], np.abs(distance[side]))
        is_left = np.bincount(label, weights=distance, minlength=n + 1) >= 0
        if not self.head_axes:
            return self.halves(part, at, is_left[label])
        small = np.where(is_left, on[1], on[0])
        far = np.where(is_left, reach[1], reach[0])
        r = self.rules
        cut = (small > 0) & (far >= r["cut_depth_mm"]) & (small / np.maximum(count, 1) >= r["cut_min_share"])
        return self.halves(part, at, np.where(cut[label], left, is_left[label]))

    def halves(self, part, at, to_left):
        halves = [np.zeros(part.mask.shape, bool) for _ in range(2)]
        for half, chosen in zip(halves, (to_left, ~to_left)):
            half[tuple(axis[chosen] for axis in at)] = True
        return [Part(half, part.lo) for half in halves]

    def ball(self, eye):
        at = np.nonzero(eye.mask)
        if at[0].size == 0:
            return None
        middle = self.origin + (np.array(eye.lo) + [axis.mean() for axis in at]) * self.spacing
        return middle, (at[0].size * self.spacing.prod() * 0.75 / np.pi) ** (1 / 3)

    def follow_reached_eyes(self, nerves, eyes):
        balls = [self.ball(eye) for eye in eyes]
        halves = [np.zeros(nerves[0].mask.shape, bool) for _ in range(2)]
        for side, nerve in enumerate(nerves):
            labels, n = cc3d.connected_components(nerve.mask, connectivity=26, return_N=True)
            at = np.nonzero(labels)
            label, places = labels[at], self.places(nerve, at)
            gaps = np.full((2, n + 1), np.inf)
            for gap, ball in zip(gaps, balls):
                if ball is not None:
                    np.minimum.at(gap, label, np.linalg.norm(places - ball[0], axis=1) - ball[1])
            to = np.where(gaps.min(axis=0) <= self.rules["nerve_reach_mm"], gaps[0] > gaps[1], side)
            for half, chosen in zip(halves, (to[label] == 0, to[label] == 1)):
                half[tuple(axis[chosen] for axis in at)] = True
        return [Part(half, nerves[0].lo) for half in halves]

    def run(self, labels):
        parts = parts_of(labels)
        brain = Part(fill_planes(largest(parts[BRAIN].mask), self.rules["brain_hole_planes"]), parts[BRAIN].lo)
        least = self.rules["eye_min_cc"] * 1000 / self.spacing.prod()
        eyes = [Part(without_small(eye.mask, least), eye.lo) for eye in self.split(parts[EYE])]
        lenses = self.split(parts[LENS])
        nerves = self.split(parts[NERVE])
        if self.head_axes:
            own = [overlap(lenses[0], eye) for eye in eyes]
            moves = [lens.mask & own[1 - n] & ~own[n] for n, lens in enumerate(lenses)]
            lenses = [Part((lens.mask & ~moves[n]) | moves[1 - n], lens.lo) for n, lens in enumerate(lenses)]
            nerves = self.follow_reached_eyes(nerves, eyes)
        lenses = [Part(lens_in_eyes(lens, eyes), lens.lo) for lens in lenses]
        nerves = [Part(largest(nerve.mask), nerve.lo) for nerve in nerves]

        def attached(part):
            return Part(largest(on_brain(part, brain)), part.lo)

        hippocampi = [attached(part) for part in self.split(parts[HIPPOCAMPUS])]
        stem = attached(parts[BRAINSTEM])
        whole = brain.on(labels.shape)
        for part in [*hippocampi, stem]:
            whole[part.box()] |= part.mask
        out = {"Brain": whole}
        pairs = {"Eye": eyes, "Lens": lenses, "OpticNrv": nerves, "Hippocampus": hippocampi}
        for name, pair in pairs.items():
            out.update({f"{name}_{side}": part.on(labels.shape) for side, part in zip("LR", pair)})
        single = {"Brainstem": stem, "OpticChiasm": midline(parts[CHIASM]), "Pituitary": midline(parts[PITUITARY])}
        out.update({name: part.on(labels.shape) for name, part in single.items()})
        return out


def midline(part):
    return Part(largest(part.mask), part.lo)


def main():
    folder = pathlib.Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    shape = tuple(case["size"][::-1])
    labels = np.fromfile(folder / "labels", np.uint8).reshape(shape)
    parts, results = parts_of(labels), {}
    stages = {name: Stage(case, name) for name in case["stages"]}
    stage = stages["stage"]

    def ours(name, like, kind=bool):
        return np.fromfile(folder / f"ours.{name}", kind).reshape(like.shape)

    def compare(name, work, differs=None):
        seconds = []
        for _ in range(case["runs"]):
            start = time.perf_counter()
            out = work()
            seconds.append(time.perf_counter() - start)
        wrong = differs(out) if differs else int((ours(name, out) != out).sum())
        results[name] = {"seconds": seconds, "differing": wrong}

    brain, eye, hippocampus = parts[BRAIN].mask, parts[EYE], parts[HIPPOCAMPUS]
    planes = stage.rules["brain_hole_planes"]
    whole = Part(fill_planes(largest(brain), planes), parts[BRAIN].lo)
    least = stage.rules["eye_min_cc"] * 1000 / stage.spacing.prod()
    compare(
        "boxes",
        lambda: parts_of(labels),
        lambda out: sum(int((ours(f"box{c}", p.mask) != p.mask).sum()) for c, p in enumerate(out)),
    )
    compare("largest", lambda: largest(brain))
    compare("holes", lambda: fill_planes(brain, planes))
    compare("small", lambda: without_small(eye.mask, least))
    compare("lens", lambda: lens_in_eyes(parts[LENS], [eye]))
    compare("off_brain", lambda: on_brain(hippocampus, whole))
    compare("opening", lambda: opening(brain))
    compare(
        "distance",
        lambda: ndimage.distance_transform_edt(~brain, sampling=stage.spacing),
        lambda out: int((np.abs(np.sqrt(ours("distance", out, np.float64)) - out) > 1e-9).sum()),
    )
    for name, stage in stages.items():
        compare(
            name,
            lambda: stage.run(labels),
            lambda out: sum(int((ours(f"{name}.{s}", mask) != mask).sum()) for s, mask in out.items()),
        )
    results["holes by binary_fill_holes"] = {"seconds": [], "differing": 0}
    start = time.perf_counter()
    out = fill_planes_scipy(brain, planes)
    results["holes by binary_fill_holes"]["seconds"] = [time.perf_counter() - start]
    results["holes by binary_fill_holes"]["differing"] = int((ours("holes", out) != out).sum())
    (folder / "theirs.json").write_text(json.dumps(results))


main()
