"""The measures of `contourd evaluate`, made a second time with scipy, and surface-distance's own beside them.

    measures.py FOLDER

FOLDER/pairs.json: {"tolerances_mm": [...], "pairs": [{"size": [i, j, k], "spacing": [mm, mm, mm]}, ...]}, and for each
pair n the voxels as bytes, i fastest: FOLDER/n.found, FOLDER/n.reference. Writes FOLDER/measured.json: for each pair the
values by name. Whole grids, no cropping; distances of insides and borders are transformed apart.
"""

import json
import pathlib
import sys

import numpy as np
import surface_distance
from scipy import ndimage

FACES = ndimage.generate_binary_structure(3, 1)
ALL_26 = np.ones((3, 3, 3), bool)
IN_PLANE = FACES.copy()
IN_PLANE[:, :, [0, 2]] = False


def border(mask, neighbours):
    return mask & ~ndimage.binary_erosion(mask, neighbours, border_value=0)


def distance_to(mask, spacing):
    return ndimage.distance_transform_edt(~mask, sampling=spacing)


def shares(tp, fp, fn, tn):
    def share(part, rest):
        return None if part + rest == 0 else float(part / (part + rest))

    return [share(2 * tp, fp + fn), share(tp, fn), share(tp, fp), share(tn, fp)]


def measure(found, reference, spacing, tolerances):
    out = {}
    alone, missed = found & ~reference, reference & ~found
    tp, tn = int((found & reference).sum()), int((~found & ~reference).sum())
    names = ["dice", "sensitivity", "precision", "specificity"]
    out.update(zip(names, shares(tp, int(alone.sum()), int(missed.sum()), tn)))
    beside = ndimage.binary_dilation(reference, ALL_26)
    inner = ndimage.binary_erosion(reference, ALL_26, border_value=0)
    tolerant = shares(tp, int((alone & ~beside).sum()), int((missed & inner).sum()), tn)
    out.update(zip(["tolerant_" + name for name in names], tolerant))

    a, b = distance_to(reference, spacing)[found], distance_to(found, spacing)[reference]
    out["hausdorff_mm"] = max(a.max(), b.max())
    out["mean_distance_mm"] = (a.sum() + b.sum()) / (a.size + b.size)
    edge_a, edge_b = border(found, FACES), border(reference, FACES)
    a, b = distance_to(edge_b, spacing)[edge_a], distance_to(edge_a, spacing)[edge_b]
    out["hausdorff95_mm"] = max(np.percentile(d, 95, method="inverted_cdf") for d in (a, b))
    out["mean_surface_distance_mm"] = (a.sum() + b.sum()) / (a.size + b.size)
    for mm in tolerances:
        near = sum((d <= mm + 1e-9).sum() for d in (a, b))
        out[f"surface_dice_{mm:g}mm"] = near / (a.size + b.size)
    redrawn = border(reference, IN_PLANE) & ~border(found, IN_PLANE)
    out["added_path_mm"] = redrawn.sum() * (spacing[0] + spacing[1]) / 2

    surfaces = surface_distance.compute_surface_distances(reference, found, spacing)
    for mm in tolerances:
        value = surface_distance.compute_surface_dice_at_tolerance(surfaces, mm)
        out[f"by_area_surface_dice_{mm:g}mm"] = value
    out["by_area_hausdorff95_mm"] = surface_distance.compute_robust_hausdorff(surfaces, 95)
    sizes = [surfaces["surfel_areas_gt"].sum(), surfaces["surfel_areas_pred"].sum()]
    means = surface_distance.compute_average_surface_distance(surfaces)
    out["by_area_mean_surface_distance_mm"] = np.dot(sizes, means) / sum(sizes)
    return {name: None if value is None else float(value) for name, value in out.items()}


def main(folder):
    work = json.loads((folder / "pairs.json").read_text())
    measured = []
    for n, pair in enumerate(work["pairs"]):
        def mask(kind):
            voxels = np.frombuffer((folder / f"{n}.{kind}").read_bytes(), np.uint8)
            return voxels.reshape(pair["size"], order="F").astype(bool)

        measured.append(measure(mask("found"), mask("reference"), pair["spacing"], work["tolerances_mm"]))
    (folder / "measured.json").write_text(json.dumps(measured))


main(pathlib.Path(sys.argv[1]))
