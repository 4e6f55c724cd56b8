"""The fixtures with other classes than the known eight say what their bands say, and their cards what the generator says."""

import hashlib
import tomllib

import numpy as np
import onnxruntime
import pytest

import make_nine_classes as nine
from contourd_training.store import PLANES


@pytest.mark.parametrize("name, classes", [("nine-classes", list(nine.BANDS)),
                                           ("three-classes", ["brain", "optic_nerve", "eye"])])
def test_a_class_is_there_where_its_band_is(name, classes):
    folder = nine.FIXTURES / name
    card = tomllib.loads((folder / "card.toml").read_text(encoding="utf-8"))
    assert card["classes"] == classes
    assert card.get("class", []) == ([nine.DESCRIPTION] if "cochlea" in classes else [])
    # Grey values between the ends of any band, in an image of unequal sides.
    grey = (np.arange(3 * 36, dtype=np.float32).reshape(1, 1, 3, 36) + 0.5) / 100
    for entry in card["network"]:
        path = folder / entry["file"]
        assert entry["plane"] in PLANES and hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        logits = session.run(["logits"], {"image": grey})[0][0]
        for number, label in enumerate(classes):
            low, high = nine.BANDS[label]
            found = logits[2 * number + 1] > logits[2 * number]
            assert (found == ((grey[0, 0] > low) & (grey[0, 0] < high))).all(), label
