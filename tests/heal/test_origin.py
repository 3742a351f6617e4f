"""Which finetuned folder an artefact came from, and which calculator belongs to it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fisher_mlip.config import HealConfig
from fisher_mlip.data import Frame, Frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.data.opls_calculator import OplsEthanolCalculator
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.fisher.gram_file import load_gram, save_gram
from fisher_mlip.heal.origin import load_origin, origin_of
from fisher_mlip.heal.theory import check_theory
from fisher_mlip.model import load_checkpoint
from fisher_mlip.products import write_summary

from .conftest import Poor

START = Frames((Frame(ATOMIC_NUMBERS, ethanol_positions()),), source="the run's start")


class Stiffer(OplsEthanolCalculator):
    """Another level of theory: every force is larger by 1 eV/Å."""

    def calculate(self, *arguments: Any, **named: Any) -> None:
        super().calculate(*arguments, **named)
        self.results["forces"] = self.results["forces"] + 1.0


def test_the_export_names_it(poor: Poor) -> None:
    assert origin_of(poor.artefact, "") == poor.checkpoint
    assert origin_of(poor.artefact, str(poor.checkpoint)) == poor.checkpoint


@pytest.mark.parametrize("named", ["named", "unnamed", "renamed"])
def test_it_is_found_beside_the_artefact(poor: Poor, tmp_path: Path, named: str) -> None:
    """The name was relative to another folder, or there is none."""
    shutil.copytree(poor.checkpoint, tmp_path / "fisher")
    another = shutil.copytree(poor.checkpoint, tmp_path / "another")
    (another / "gram.safetensors").write_bytes(b"torn")
    (tmp_path / "exported").mkdir()
    moved = Artefact(tmp_path / "exported" / "model.pt", poor.artefact.manifest)
    if named != "unnamed":
        name = "fisher" if named == "named" else "runs/gone"
        write_summary(tmp_path / "exported", {"checkpoint": name})
    assert origin_of(moved, "") == (tmp_path / "fisher").resolve()
    shutil.rmtree(tmp_path / "fisher")
    with pytest.raises(InputError, match="name it by --heal-checkpoint"):
        origin_of(moved, "")


def test_an_export_that_names_none_asks_for_it(poor: Poor, tmp_path: Path) -> None:
    moved = Artefact(tmp_path / "model.pt", poor.artefact.manifest)
    with pytest.raises(InputError, match="found none: name it by --heal-checkpoint"):
        origin_of(moved, "")
    write_summary(tmp_path, {"checkpoint": str(tmp_path / "gone")})
    with pytest.raises(InputError, match="gone', which is not there: name it by"):
        origin_of(moved, "")


def test_another_checkpoint_is_refused(poor: Poor) -> None:
    manifest = poor.artefact.manifest.model_copy(update={"weights_hash": "0" * 64})
    other = Artefact(poor.artefact.path, manifest)
    with pytest.raises(InputError, match=r"with weights 00000000, found .* in '"):
        origin_of(other, str(poor.checkpoint))


def test_sums_that_nothing_can_be_added_to_are_refused(poor: Poor, tmp_path: Path) -> None:
    folder = shutil.copytree(poor.checkpoint, tmp_path / "weighted")
    path = folder / "gram.safetensors"
    save_gram(path, replace(load_gram(path), weighted=True))
    with pytest.raises(InputError, match="frames that count alike"):
        load_origin(folder)
    path.unlink()
    with pytest.raises(InputError, match="expected normal equations in"):
        origin_of(poor.artefact, str(folder))


def test_another_level_of_theory_is_refused(poor: Poor) -> None:
    """Energies may count from another zero, forces may not differ."""
    checkpoint = load_checkpoint(poor.checkpoint)
    heal = HealConfig(calculator="opls-ethanol")
    assert check_theory(START, OplsEthanolCalculator(), checkpoint, heal) < 0.3
    with pytest.raises(InputError, match="to be of the level of theory that the model was") as told:
        check_theory(START, Stiffer(), checkpoint, heal)
    assert "\n" not in str(told.value)
    wider = heal.changed(mismatch=2.0)
    assert check_theory(START, Stiffer(), checkpoint, wider) == pytest.approx(1.0, abs=0.2)
