"""Rows near a split are told from rows that a conversion got wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from everscore.score.output_form import Kind
from everscore_models.candidate import Answer
from everscore_models.rounding import agree_when_rounded, rounded

SPLIT = 16_777_217.0  # the first whole number that 32 bits cannot hold
NEAR = 16_777_217.0


def predict(frame: pd.DataFrame) -> Sequence[Answer]:
    """A tree of one split, which reads 64 bits and refuses negative numbers."""
    if (frame.x < 0).any():
        raise ValueError("negative")
    return [Answer((1.0 if x >= SPLIT else 0.0,), None) for x in frame.x]


def test_a_row_near_a_split_agrees_with_its_rounded_inputs() -> None:
    """What ONNX says of the rounded number counts as agreeing; a wrong score far from the split does not."""
    frame = pd.DataFrame({"x": [NEAR, 5.0, -1.0], "word": ["a", "b", "c"]})
    found = [Answer((0.0,), None), Answer((1.0,), None), Answer((0.0,), None)]
    assert [each.values for each in predict(frame[:1])] == [(1.0,)]
    assert agree_when_rounded(predict, frame, found, Kind.REGRESSOR, 1e-6) == [True, False, False]


def test_labels_count_too() -> None:
    """Equal numbers with another label do not agree."""

    def labelled(frame: pd.DataFrame) -> Sequence[Answer]:
        return [Answer((0.4, 0.6), "b") for _ in range(len(frame))]

    found = [Answer((0.4, 0.6), "b"), Answer((0.4, 0.6), "a")]
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    assert agree_when_rounded(labelled, frame, found, Kind.CLASSIFIER, 1e-6) == [True, False]


def test_only_numbers_are_rounded() -> None:
    """Whole numbers and floats are rounded, texts and booleans stay; so do NaN and what is beyond 32 bits."""
    frame = pd.DataFrame(
        {"f": [0.1, np.nan, 1e300], "i": [2**24 + 1, 1, 2], "t": ["0.1", "b", "c"], "b": [True, False, True]}
    )
    near = rounded(frame)
    assert near.f[0] == float(np.float32(0.1)) != 0.1
    assert np.isnan(near.f[1])
    assert near.f[2] == 1e300
    assert near.i.tolist() == [2**24, 1, 2]
    assert near.t.tolist() == ["0.1", "b", "c"]
    assert near.b.tolist() == [True, False, True]


def test_the_smallest_number_of_those_that_round_alike() -> None:
    """A threshold that was rounded up takes in every number that rounds to it; a wrong one is still told."""

    def own(frame: pd.DataFrame) -> Sequence[Answer]:
        # Two splits of 64 bits that 32 bits round to the same number, 16,777,220.
        return [Answer((float(x > 16_777_219.25) + 2.0 * float(x > 16_777_219.75),), None) for x in frame.x]

    frame = pd.DataFrame({"x": [16_777_221.0, 16_777_221.0, 16_777_221.0]})
    found = [Answer((value,), None) for value in (0.0, 1.0, 3.0)]
    assert agree_when_rounded(own, frame, found, Kind.REGRESSOR, 1e-6) == [True, False, True]


def test_a_real_model_near_its_splits() -> None:
    """Where ONNX differs from HistGradientBoosting on seconds since 1970, it is right for rounded ones."""
    import onnxruntime
    from sklearn.ensemble import HistGradientBoostingRegressor

    from everscore_models.convert import convert

    times = 1_700_000_000.0 + np.arange(300) * 3.0
    model = HistGradientBoostingRegressor(min_samples_leaf=1, max_iter=5)
    model.fit(times.reshape(-1, 1), np.arange(300) % 2)

    def own(frame: pd.DataFrame) -> Sequence[Answer]:
        return [Answer((each,), None) for each in model.predict(frame[["x"]].to_numpy()).tolist()]

    frame = pd.DataFrame({"x": times})
    session = onnxruntime.InferenceSession(convert(model, [], ["x"], [], None).content)
    (scores,) = session.run(None, {"X": times.astype(np.float32).reshape(-1, 1)})
    exact = np.array([each.values for each in own(frame)])
    differing = np.flatnonzero(np.abs(exact - scores)[:, 0] > 1e-5)
    assert 20 < len(differing) < 300
    found = [Answer((float(scores[row, 0]),), None) for row in differing]
    assert all(agree_when_rounded(own, frame.iloc[differing], found, Kind.REGRESSOR, 1e-5))
    wrong = [Answer((each.values[0] + 1,), None) for each in found]
    assert not any(agree_when_rounded(own, frame.iloc[differing], wrong, Kind.REGRESSOR, 1e-5))
