"""Every way to be wrong fails the rows that it should, and no others."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fisher_mlip.certificate import Row, Verdict, periodic
from fisher_mlip.certificate.checking import EXTENTS, Subject, static_rows
from fisher_mlip.certificate.engine import Engine, strain_derivative
from fisher_mlip.certificate.separation import crossing_rows
from fisher_mlip.certificate.tolerances import TOLERANCES
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.export.artefact import load_artefact
from fisher_mlip.export.manifest import MANIFEST_NAME, MODEL_NAME
from fisher_mlip.export.openmm_module import OpenMMModule
from fisher_mlip.export.torchscript import save_script
from fisher_mlip.model import Checkpoint, network

DOUBLE = TOLERANCES["float64"]
Result = tuple[float, FloatArray]
Change = Callable[[Frame, Result], Result]


class Altered:
    """An engine whose energies and forces pass through a change."""

    def __init__(self, engine: Engine, change: Change) -> None:
        self.engine = engine
        self.artefact = engine.artefact
        self.built = engine.built
        self.change = change

    def __call__(self, frame: Frame) -> Result:
        return self.change(frame, self.engine(frame))


def altered(subject: Subject, change: Change) -> Subject:
    """Return a subject of which every engine is changed alike."""
    names = ("engine", "fresh", "double", "single")
    engines: dict[str, Any] = {name: Altered(getattr(subject, name), change) for name in names}
    return replace(subject, **engines)


def forces_too_large(frame: Frame, result: Result) -> Result:
    return result[0], 1.01 * result[1]


def non_reciprocal(frame: Frame, result: Result) -> Result:
    """Add forces between pairs of an open frame that are not equal and opposite.

    They turn, shift and fall off as a potential's do; their Jacobian's antisymmetric part is some
    1e-4 of the whole.
    """
    energy, forces = result
    if frame.is_periodic:
        return result
    vectors = frame.positions[None] - frame.positions[:, None]
    squares = (vectors**2).sum(axis=2)
    pull = 1e-4 * frame.atomic_numbers[:, None] * np.exp(-squares)
    return energy, forces + (pull[:, :, None] * vectors).sum(axis=1)


def field(frame: Frame, result: Result) -> Result:
    """Put an open frame into a weak uniform field, forces and all."""
    energy, forces = result
    if frame.is_periodic:
        return result
    pulls = np.zeros_like(forces)
    pulls[:, 2] = 1e-6 * frame.atomic_numbers
    return energy - float((pulls * frame.positions).sum()), forces + pulls


class DroppedShift(OpenMMModule):
    """Forgets the cell's first vector for pairs of different atoms."""

    @torch.jit.export
    def near_pairs(self, x: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.update_list(x.detach(), box.detach())
        shifts = self.cell_shifts.clone()
        shifts[self.senders != self.receivers, 0] = 0.0
        vectors = x[self.senders] - x[self.receivers] + shifts @ box
        inside = (vectors.detach().square().sum(dim=1) < self.cutoff**2).nonzero()[:, 0]
        return vectors[inside], self.senders[inside], self.receivers[inside]


class StaleList(OpenMMModule):
    """Makes its list once."""

    def update_list(self, positions: Tensor, box: Tensor) -> None:
        if self.n_rebuilds > 0:
            return
        self.receivers, self.senders, self.cell_shifts = self.pairs(positions, box)
        self.n_rebuilds += 1


def sabotaged(kind: type[OpenMMModule], checkpoint: Checkpoint, folder: Path) -> Artefact:
    """Export a checkpoint with another module around its network."""
    manifest = write_artefact(folder, checkpoint, "float64").manifest
    network = copy.deepcopy(checkpoint.network).eval().requires_grad_(False)
    text = manifest.model_dump_json()
    save_script(kind(network).eval(), folder / MODEL_NAME, {MANIFEST_NAME: text})
    return load_artefact(folder)


def engine_of(artefact: Artefact) -> Engine:
    """Return an engine that runs the script, which the sabotage is in."""
    return Engine(artefact, platform="Reference", kernel="torchscript")


def abrupt_envelope(distances: Tensor, cutoff: float) -> Tensor:
    """Return 1 up to the cutoff, and 0 from there on."""
    return (distances < cutoff).to(distances.dtype)


def failed(rows: list[Row]) -> set[str]:
    return {row.name for row in rows if row.verdict is Verdict.FAILED}


def checked(subject: Subject, checkpoint: Checkpoint | None = None) -> set[str]:
    rows = list(static_rows(subject, checkpoint, EXTENTS["quick"], 0, lambda _: None))
    assert len(rows) >= 43
    return failed(rows)


def both(*names: str) -> set[str]:
    return {f"{name}: {part}" for name in names for part in ("energy", "forces")}


def test_the_artefact_fails_nothing(subject: Subject, checkpoint: Checkpoint) -> None:
    assert checked(subject, checkpoint) == set()


def test_forces_one_percent_too_large(subject: Subject, checkpoint: Checkpoint) -> None:
    found = checked(altered(subject, forces_too_large), checkpoint)
    assert found == {"gradient", "parity: forces"}


def test_a_force_without_a_potential(subject: Subject) -> None:
    assert checked(altered(subject, non_reciprocal)) == {"gradient", "jacobian asymmetry"}


def test_a_place_that_matters(subject: Subject) -> None:
    found = checked(altered(subject, field))
    expected = {"translation: energy", "isolated atoms: forces", "isolated atoms: sum", "virial"}
    assert found == expected | both("rotation", "reflection") | {"additivity: energy"}


def test_two_virial_components_swapped(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(artefact: Artefact, frame: Frame) -> FloatArray:
        told = strain_derivative(artefact, frame)
        told[[0, 0, 1, 2], [1, 2, 0, 0]] = told[[0, 0, 2, 1], [2, 1, 0, 0]]
        return told

    monkeypatch.setattr("fisher_mlip.certificate.checking.strain_derivative", swapped)
    assert checked(subject) == {"virial"}


def test_a_dropped_shift(subject: Subject, checkpoint: Checkpoint, tmp_path: Path) -> None:
    wrong = engine_of(sabotaged(DroppedShift, checkpoint, tmp_path))
    rows = [
        *periodic.wrapping_rows(wrong, subject.crystal, "crystal", DOUBLE, 0),
        *periodic.basis_rows(wrong, subject.crystal, "crystal", DOUBLE),
        *periodic.supercell_rows(wrong, subject.crystal, "crystal", DOUBLE),
    ]
    assert failed(rows) == both("wrapping", "lattice basis", "supercell")


def test_a_list_that_is_never_renewed(
    subject: Subject, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    wrong = engine_of(sabotaged(StaleList, checkpoint, tmp_path))
    rows = periodic.skin_rows(wrong, subject.fresh, subject.crystal, "crystal", DOUBLE, 0)
    assert failed(rows) == both("skin")


def test_a_cutoff_without_an_envelope(
    subject: Subject, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "smooth_envelope", abrupt_envelope)
    wrong = Engine(sabotaged(OpenMMModule, checkpoint, tmp_path), platform="Reference")
    rows = crossing_rows(wrong, subject.molecule, 3.0, DOUBLE)
    assert "cutoff: forces" in failed(rows)
    assert {row.on for row in rows if row.verdict is Verdict.FAILED} >= {"pair"}
