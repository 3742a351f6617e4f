"""Labeling with ASE calculators: the embedded one, GFN2-xTB, an imported class, failures."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

from fisher_mlip.data import Frame, Frames
from fisher_mlip.data.calculators import build_calculator, parse_options
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.data.opls import OplsEthanol
from fisher_mlip.errors import InputError


@pytest.fixture(scope="module")
def frames() -> Frames:
    generator = np.random.default_rng(0)
    positions = ethanol_positions() + generator.normal(0.0, 0.03, (4, 9, 3))
    return Frames(
        tuple(Frame(ATOMIC_NUMBERS, x, energy=1e3, config_type="old") for x in positions),
        {1: -13.0, 6: -1000.0, 8: -2000.0},
        "four",
    )


class FailsOnSecond(Calculator):
    """Fails on its second frame; knows no isolated atoms."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, message: str = "it did not converge") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.message, self.calls = message, 0

    def calculate(self, atoms: Any = None, *rest: Any) -> None:
        super().calculate(atoms, *rest)  # type: ignore[no-untyped-call]
        self.calls += 1
        if len(atoms) == 1 or self.calls == 2:
            raise RuntimeError(self.message)
        self.results = {"energy": 0.5, "forces": np.zeros((len(atoms), 3))}


def test_the_embedded_reference_labels(frames: Frames) -> None:
    steps: list[int] = []
    labeled = label_frames(frames, build_calculator("opls-ethanol", {}), advance=steps.append)
    assert steps == [1, 1, 1, 1]
    for old, new in zip(frames, labeled.frames, strict=True):
        energy, forces = OplsEthanol(1).energy_and_forces(old.positions)
        assert new.energy == pytest.approx(energy, abs=1e-12)
        np.testing.assert_allclose(new.forces, forces, atol=1e-12)
        assert new.config_type == "old"
    assert labeled.frames.reference_energies == {1: 0.0, 6: 0.0, 8: 0.0}


def require_gradient(calculator: Any, frame: Frame, forces: np.ndarray) -> None:
    direction = np.random.default_rng(1).normal(size=(9, 3))
    step = 2e-4
    ends = [replace(frame, positions=frame.positions + s * direction) for s in (step, -step)]
    ahead, behind = label_frames(Frames(tuple(ends)), calculator).frames
    slope = ((ahead.energy or 0.0) - (behind.energy or 0.0)) / (2 * step)
    assert slope == pytest.approx(-float(np.sum(forces * direction)), rel=2e-4)


def test_tblite_labels_in_our_units(frames: Frames) -> None:
    pytest.importorskip("tblite.ase", reason="GFN2-xTB is an extra")
    calculator = build_calculator("tblite", {"accuracy": 0.01})
    labeled = label_frames(frames, calculator).frames
    # GFN2-xTB's ethanol is at -11.394 Hartree, its atoms some 32 eV above.
    assert labeled[0].energy == pytest.approx(-11.38 * 27.2114, abs=1.0)
    assert set(labeled.reference_energies) == {1, 6, 8}
    beyond = labeled[0].energy - sum(labeled.reference_energies[int(z)] for z in ATOMIC_NUMBERS)
    assert -60 < beyond < -20
    assert labeled[0].forces is not None
    require_gradient(calculator, labeled[0], labeled[0].forces)
    with pytest.raises(AssertionError):
        require_gradient(calculator, labeled[0], 1.01 * labeled[0].forces)


def test_stress_of_periodic_frames_alone(frames: Frames) -> None:
    periodic = replace(frames[0], cell=8 * np.eye(3), pbc=np.ones(3, dtype=bool))
    both = Frames((frames[0], periodic))
    labeled = label_frames(both, build_calculator("ase.calculators.lj:LennardJones", {})).frames
    assert labeled[0].stress is None
    assert labeled[1].stress is not None
    assert labeled[1].stress.shape == (3, 3)


def test_an_imported_class_takes_options() -> None:
    options = parse_options(["sigma=2.5", "smooth=true"])
    calculator = build_calculator("ase.calculators.lj:LennardJones", options)
    assert isinstance(calculator, LennardJones)
    assert calculator.parameters["sigma"] == 2.5
    assert calculator.parameters["smooth"] is True


def test_a_failure_is_told_or_skipped(frames: Frames) -> None:
    with pytest.raises(InputError, match=r"failed on frame 1 of 'four': it did not converge"):
        label_frames(frames, FailsOnSecond())
    labeled = label_frames(frames, FailsOnSecond(), skip_failed=True)
    assert len(labeled.frames) == 3
    assert labeled.failures == {1: "it did not converge"}
    assert labeled.without_reference == (1, 6, 8)
    assert labeled.frames.reference_energies == {}


def test_failing_on_every_frame_is_refused(frames: Frames) -> None:
    broken = FailsOnSecond()
    broken.calls = 1
    with pytest.raises(InputError, match="failed on all frames of 'four'"):
        label_frames(frames.subset([0]), broken, skip_failed=True)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: build_calculator("vasp", {}),
            "opls-ethanol, tblite, or module:Class, found 'vasp'",
        ),
        (lambda: build_calculator("no.such:Thing", {}), "cannot be imported: No module named"),
        (lambda: build_calculator("ase:Thing", {}), "cannot be imported"),
        (
            lambda: build_calculator("ase.calculators.singlepoint:SinglePointCalculator", {"x": 1}),
            "does not take {'x': 1}",
        ),
        # Neither is called.
        (lambda: build_calculator("os:abort", {}), "expected a class of ASE calculators"),
        (lambda: build_calculator("fractions:Fraction", {}), "expected a class of ASE calculators"),
        (lambda: parse_options(["sigma"]), "expected an option key=value, found 'sigma'"),
        (lambda: parse_options(["sigma=["]), "expected a YAML value in option"),
    ],
)
def test_bad_calculators_are_refused(call: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
