"""A run folder -> its segment run again with one thing changed each, and where drift comes from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fisher_mlip.diagnose.plot import PLOT_NAME, write_plot
from fisher_mlip.diagnose.segment import SegmentEnergies, prepared, run_segment, seconds_per_step
from fisher_mlip.diagnose.state import At, StartState, read_start
from fisher_mlip.diagnose.variants import FLOAT64, LONGER_SKIN, Variant, variants_of
from fisher_mlip.diagnose.verdict import Measured, Verdict, measured, verdict_of
from fisher_mlip.products import SUMMARY_NAME, refuse_existing, whole_folder, write_summary
from fisher_mlip.simulate.progress import show_note, shown_progress
from fisher_mlip.simulate.summary import package_versions


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What a diagnosis found.

    Attributes:
        segments: as it was, then each variant.
        measured: of each.
        verdict: where the drift comes from.
        not_run: what was left out, and why, in sentences.
    """

    segments: tuple[SegmentEnergies, ...]
    measured: tuple[Measured, ...]
    verdict: Verdict
    not_run: tuple[str, ...]


def diagnose_run(
    path: Path, folder: Path, *, length_ps: float, at: At, seed: int = 0, overwrite: bool = False
) -> tuple[Diagnosis, list[Path]]:
    """Run a segment again in NVE: as it was, at half the step, in float64, with a longer skin.

    Args:
        path: the run folder.
        folder: to be made: ledgers, plot, `summary.json`.
        length_ps: of each segment.
        at: the run's last checkpoint or its start.
        seed: of the bootstrap.
        overwrite: replace a diagnosis that is there.

    Raises:
        InputError: the run cannot be run again, or the folder exists.
        KeyboardInterrupt: a signal asked to stop; nothing is written.
    """
    refuse_existing(folder, overwrite=overwrite, inputs=[path])
    start = read_start(path, at)
    with (
        TemporaryDirectory() as name,
        whole_folder(folder, overwrite=overwrite, inputs=[path]) as partial,
    ):
        variants = variants_of(start, length_ps, Path(name))
        segments = _run_all(start, variants, partial)
        found = diagnosis_of(segments, _not_run(variants), seed=seed)
        write_plot(segments, partial)
        write_summary(partial, _summary(found, path, start, length_ps, at))
        names = [ledger_name(variant) for variant in variants]
    return found, [folder / name for name in (*names, PLOT_NAME, SUMMARY_NAME)]


def diagnosis_of(
    segments: Sequence[SegmentEnergies], not_run: Sequence[str] = (), *, seed: int = 0
) -> Diagnosis:
    """Judge segments: as it was, then each variant."""
    numbers = tuple(measured(segment, seed=seed) for segment in segments)
    return Diagnosis(tuple(segments), numbers, verdict_of(numbers), tuple(not_run))


def ledger_name(variant: Variant) -> str:
    """Return the name of a variant's ledger."""
    return f"ledger-{variant.name.replace(' ', '-')}.csv"


def _run_all(start: StartState, variants: Sequence[Variant], folder: Path) -> list[SegmentEnergies]:
    simulations = [prepared(start, variant) for variant in variants]
    pairs = list(zip(simulations, variants, strict=True))
    seconds = sum(seconds_per_step(s, start, one) * one.config.steps for s, one in pairs)
    total = sum(variant.config.steps for variant in variants)
    show_note(f"{len(variants)} segments, {total} steps in all, about {_in_words(seconds)}")
    done = 0
    with shown_progress("diagnose", 0, total) as show:

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            show(done, 0.0)

        return [
            run_segment(simulation, start, variant, folder / ledger_name(variant), advance)
            for simulation, variant in pairs
        ]


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"


def _not_run(variants: Sequence[Variant]) -> list[str]:
    names, sentences = {variant.name for variant in variants}, []
    if FLOAT64 not in names:
        sentences.append("float64: the model is float64, so that rounding is excluded")
    if LONGER_SKIN not in names:
        sentences.append(
            "longer skin: molecules that do not see each other have fixed pairs and no list"
        )
    return sentences


def _summary(
    found: Diagnosis, path: Path, start: StartState, length_ps: float, at: At
) -> dict[str, Any]:
    return {
        "cause": found.verdict.cause,
        "verdict": found.verdict.sentence,
        "run": str(path),
        "model": str(start.artefact.path),
        "at": at,
        "step": start.step,
        "segment_ps": length_ps,
        "timestep_fs": start.config.timestep,
        "segments": [asdict(one) for one in found.measured],
        "units": {"slope": "meV/atom/ps", "fluctuation": "meV/atom", "kinetic_std": "meV/atom"},
        "not_run": list(found.not_run),
        "versions": package_versions(),
    }
