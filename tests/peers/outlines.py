"""Contours of masks by rt-utils, timed.

    outlines.py FOLDER

FOLDER/case.json: {"size": [columns, rows, slices], "names": [...], "runs": n}. FOLDER/images: the series. FOLDER/mask.N: a
byte a pixel, columns fastest, then rows, then slices, in the order of the names. Writes FOLDER/theirs.dcm, and
FOLDER/theirs.json: for each run the seconds of all `add_roi` together and those of writing the file.
"""

import contextlib
import io
import json
import pathlib
import sys
import time

import numpy as np
from rt_utils import RTStructBuilder


def main():
    folder = pathlib.Path(sys.argv[1])
    case = json.loads((folder / "case.json").read_text())
    columns, rows, slices = case["size"]
    masks = {}
    for number, name in enumerate(case["names"]):
        pixels = np.fromfile(folder / f"mask.{number}", bool).reshape(slices, rows, columns)
        # rt-utils wants slices last; as a view each of its slices stays in one piece, which is fastest for it.
        masks[name] = pixels.transpose(1, 2, 0)
    contours, writing = [], []
    for _ in range(case["runs"]):
        structure_set = RTStructBuilder.create_new(dicom_series_path=str(folder / "images"))
        start = time.perf_counter()
        for name, mask in masks.items():
            structure_set.add_roi(mask=mask, name=name)
        contours.append(time.perf_counter() - start)
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            structure_set.save(str(folder / "theirs.dcm"))
        writing.append(time.perf_counter() - start)
    (folder / "theirs.json").write_text(json.dumps({"contours": contours, "writing": writing}))


main()
