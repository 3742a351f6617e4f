"""Each measurement does what it says: counted by the list's builds, not by the clock."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.bench.openmm_run import ENDLESS
from fisher_mlip.bench.outputs import time_outputs
from fisher_mlip.bench.pieces import (
    PAIRS_OF_CALLS,
    direct_of,
    time_calls,
    time_engine,
    time_list,
    time_pairs,
    time_threads,
)
from fisher_mlip.bench.steps import WARM_UP_STEPS, time_steps
from fisher_mlip.config import SimulateConfig
from fisher_mlip.export import Artefact, ArtefactPotential, load_artefact
from fisher_mlip.simulate.driving import Run
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.run import start_run
from fisher_mlip.simulate.settings import settled_config

from .figures import ms

SKIN = 0.5


@pytest.fixture
def run(artefact: Artefact, box: Path, tmp_path: Path) -> Iterator[Run]:
    """The start of a run of the liquid."""
    config = SimulateConfig(
        **{"model": str(artefact.path), "system": str(box), "temperature": 300.0, "skin": SKIN},
        **{"timestep": 0.1, "steps": ENDLESS, "report_interval": 2, "trajectory_interval": 3},
        **{"checkpoint_interval": 5, "platform": "Reference", "on_alarm": "warn"},
    )
    loaded = load_artefact(artefact.path)
    settled = settled_config(config, loaded)
    made = start_run(settled, loaded, RunFolder(tmp_path / "run"), overwrite=False)
    yield made
    made.reporters.close()


def test_the_steps_are_those_of_a_run(run: Run) -> None:
    found = time_steps(run, 12)
    assert len(found.seconds) == 12
    made = WARM_UP_STEPS + 12
    assert run.simulation.currentStep == made
    # Its ledger holds a row of the start, and the others.
    rows = run.folder.ledger.read_text().splitlines()[1:]
    assert len(rows) == 1 + made // 2
    noted = sum("ledger" in kind for kind, _ in found.kinds)
    assert noted == sum(step % 2 == 0 for step in range(WARM_UP_STEPS + 1, made + 1))
    assert sum("checkpoint" in kind for kind, _ in found.kinds) == 2
    assert run.folder.state.exists()


def test_the_list_is_built_at_each_turn_and_kept_between(run: Run) -> None:
    list_rebuilds = run.simulation.potential.list_rebuilds
    before = list_rebuilds()
    time_list(run, SKIN)
    # The turns, and going back to where the atoms were.
    assert list_rebuilds() - before == PAIRS_OF_CALLS + 2
    kept = list_rebuilds()
    time_threads(run)
    assert list_rebuilds() == kept


def test_calls_keep_the_list_and_are_of_the_same_model(run: Run, artefact: Artefact) -> None:
    direct = direct_of(run, artefact)
    before = run.simulation.potential.list_rebuilds()
    calls = time_calls(run, direct, on_cpu=True)
    assert run.simulation.potential.list_rebuilds() == before
    assert None not in (calls.direct, calls.float32, calls.doubled)
    energy, forces = direct.potential()()  # type: ignore[misc]
    twice, both = direct.doubled().potential()()  # type: ignore[misc]
    assert twice == pytest.approx(2.0 * energy)
    np.testing.assert_allclose(both, np.tile(forces, (2, 1)), atol=1e-9)


def test_pairs_are_all_of_those_within_the_cutoff(run: Run, artefact: Artefact) -> None:
    direct = direct_of(run, artefact)
    narrow, wide = time_pairs(direct, SKIN), time_pairs(direct, 2.0 * SKIN)
    assert narrow.edges == wide.edges
    assert narrow.edges <= narrow.listed < wide.listed


def test_the_engine_alone_calls_no_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the model was called")

    monkeypatch.setattr(ArtefactPotential, "energy_and_forces", refuse)
    npt = run.config.model_copy(update={"ensemble": "npt"})
    assert time_engine(run.molecular, npt).median > 0.0


def test_outputs_are_those_of_the_run(run: Run) -> None:
    attached = list(run.simulation.reporters)
    steps = time_steps(run, 7)
    assert {name: len(times) for name, times in steps.reports.items()} == {
        **{"ledger": 4, "trajectory": 3, "watch": 1}
    }
    found = time_outputs(run, steps, ms(1000.0))
    intervals = {output.name: output.interval for output in found}
    assert intervals == {"ledger": 2, "trajectory": 3, "checkpoint": 5, "watch": 10}
    # The evaluation is the ledger's alone.
    assert [output.name for output in found if output.once.median >= 1000.0] == ["ledger"]
    assert all("report" not in vars(reporter) for reporter in attached)
    assert run.simulation.reporters == attached


def test_threads_are_as_before(run: Run) -> None:
    before = torch.get_num_threads()
    assert {1, before} <= set(time_threads(run))
    assert torch.get_num_threads() == before
