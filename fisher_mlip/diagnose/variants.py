"""What is changed of a run, one thing at a time, over the same number of picoseconds."""

from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.config import SimulateConfig
from fisher_mlip.diagnose.state import StartState
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.recast import recast
from fisher_mlip.units import FS_PER_PS

AS_IT_WAS, HALF_STEP = "as it was", "half the step"
FLOAT64, LONGER_SKIN = "float64", "longer skin"
# Å more of the neighbor list than the run had.
MORE_SKIN = 1.5
_ROWS = 400
_FEWEST_STEPS = 50


@dataclass(frozen=True, eq=False)
class Variant:
    """One segment to run.

    Attributes:
        name: what is changed.
        config: in NVE; `steps` and `report_interval` are those of the segment.
        artefact: the model, or its copy in float64.
    """

    name: str
    config: SimulateConfig
    artefact: Artefact


def variants_of(start: StartState, length_ps: float, folder: Path) -> list[Variant]:
    """Return the segments, each as long as the others and with rows at the same times.

    float64 is left out for a model that is float64, the longer skin for molecules that do not see
    each other, whose pairs are fixed.

    Args:
        start: of the run.
        length_ps: of each segment.
        folder: exists; the model's copy in float64 is written into it.

    Raises:
        InputError: fewer than 50 steps.
    """
    steps = round(length_ps * FS_PER_PS / start.config.timestep)
    if steps < _FEWEST_STEPS:
        raise InputError(
            f"expected a segment of {_FEWEST_STEPS} steps or more, found {length_ps:g} ps, which "
            f"is {steps} of {start.config.timestep:g} fs"
        )
    interval = max(1, steps // _ROWS)
    base = start.config.changed(
        ensemble="nve",
        steps=steps - steps % interval,
        report_interval=interval,
        uncertainty_interval=0,
        watch=start.config.watch.changed(enabled=False, uncertainty=0.0),
    )
    half = base.changed(
        timestep=base.timestep / 2.0, steps=2 * base.steps, report_interval=2 * interval
    )
    found = [Variant(AS_IT_WAS, base, start.artefact), Variant(HALF_STEP, half, start.artefact)]
    if start.artefact.manifest.dtype == "float32":
        twin = recast(start.artefact, "float64", folder)
        double = base.changed(model=str(twin.path), dtype="float64")
        found.append(Variant(FLOAT64, double, twin))
    if not start.molecular.independent_molecules:
        longer = base.changed(skin=min(base.skin + MORE_SKIN, 20.0))
        found.append(Variant(LONGER_SKIN, longer, start.artefact))
    return found
