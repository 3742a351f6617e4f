"""Leave-one-out against solving again without each block; null space; choice of ridge."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.jackknife import estimate
from fisher_mlip.fisher.solve import LinearSystem, diagonalize, solve

B, D, ROWS = 8, 5, 30
TRUE = np.array([1.0, -2.0, 0.5, 3.0, -0.1])
Sums = tuple[FloatArray, FloatArray, FloatArray]


def noisy_sums(noise: float, seed: int = 0, true: FloatArray = TRUE) -> Sums:
    """Return gram, moment and counts of blocks of rows with noise in their targets."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(B, ROWS, D)) * np.array([1.0, 1e-3, 10.0, 1.0, 100.0])
    scaled = true / np.array([1.0, 1e-3, 10.0, 1.0, 100.0])
    targets = rows @ scaled + noise * rng.normal(size=(B, ROWS))
    gram = np.einsum("brd,bre->bde", rows, rows)
    return gram, np.einsum("brd,br->bd", rows, targets), np.full(B, float(ROWS))


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_equals_solving_again_without_each_block(ridge: float) -> None:
    gram, moment, counts = noisy_sums(1.0)
    found = estimate(gram, moment, counts, (ridge,))
    whole = LinearSystem(gram.sum(axis=0), moment.sum(axis=0))
    scale = np.sqrt(np.diag(whole.gram))
    np.testing.assert_allclose(found.theta, solve(whole, diagonalize(whole), ridge), rtol=1e-10)
    again = []
    for b in range(B):
        kept = np.arange(B) != b
        penalty = ridge * (B - 1) / B * np.diag(scale**2)
        again.append(np.linalg.solve(gram[kept].sum(axis=0) + penalty, moment[kept].sum(axis=0)))
    np.testing.assert_allclose(found.left_out, again, rtol=1e-9)
    error = np.sqrt((B - 1) * np.var(again, axis=0))
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-9)
    difference = np.array(again) - np.mean(again, axis=0)
    square = np.einsum("bi,ij,bj->", difference, whole.gram, difference) * (B - 1) / B
    assert found.force_error == pytest.approx(np.sqrt(square / counts.sum()), rel=1e-9)


def test_gain_is_the_error_saved_on_blocks_left_out() -> None:
    gram, moment, counts = noisy_sums(1.0)
    row = estimate(gram, moment, counts, (1e-2,)).path[0]
    found = estimate(gram, moment, counts, (1e-2,)).left_out
    saved = [2 * t @ m - t @ g @ t for t, m, g in zip(found, moment, gram, strict=True)]
    assert row.gain == pytest.approx(np.sum(saved) / counts.sum())
    assert row.gain_error == pytest.approx(np.std(saved, ddof=1) * np.sqrt(B) / counts.sum())


def test_features_that_are_one_another_share_and_stay_finite() -> None:
    gram, moment, counts = noisy_sums(0.1)
    twice = np.array([0, 1, 2, 3, 4, 0])
    found = estimate(gram[:, twice][:, :, twice], moment[:, twice], counts, (0.0,))
    single = estimate(gram, moment, counts, (0.0,))
    assert found.theta[0] == pytest.approx(found.theta[5])
    assert found.theta[0] + found.theta[5] == pytest.approx(single.theta[0], rel=1e-6)
    assert found.force_error == pytest.approx(single.force_error, rel=1e-6)


def test_more_noise_takes_more_ridge_until_nothing_is_gained() -> None:
    quiet, loud = (estimate(*noisy_sums(noise)).ridge for noise in (1e-3, 30.0))
    assert quiet is not None
    assert loud is None or loud > quiet
    nothing = estimate(*noisy_sums(1.0, true=np.zeros(D)))
    assert nothing.ridge is None
    assert not nothing.theta.any()
    assert nothing.force_error == 0.0


def test_what_cannot_be_estimated_is_refused() -> None:
    gram, moment, counts = noisy_sums(1.0)
    with pytest.raises(InputError, match="two blocks of frames or more, found 1"):
        estimate(gram[:1], moment[:1], counts[:1])
    with pytest.raises(InputError, match="finite ridges of zero or more"):
        estimate(gram, moment, counts, (-1.0,))
    with pytest.raises(InputError, match="found NaN"):
        estimate(gram, moment * np.nan, counts)
