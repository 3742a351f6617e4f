"""Runs the checks of an artefact on the machine at hand -> `Certificate`."""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fisher_mlip.certificate import agreement, periodic, separation
from fisher_mlip.certificate.conditions import conditions, cpu_name
from fisher_mlip.certificate.engine import (
    NO_SKIN,
    Engine,
    atomic_energies,
    strain_derivative,
)
from fisher_mlip.certificate.gradient import gradient_rows
from fisher_mlip.certificate.microrun import is_sane, micro_runs, not_run, run_rows
from fisher_mlip.certificate.probes import probe_crystal, probe_molecule
from fisher_mlip.certificate.rows import Certificate, Row, Verdict
from fisher_mlip.certificate.symmetry import reordering_rows, symmetry_rows
from fisher_mlip.certificate.tolerances import TOLERANCES
from fisher_mlip.certificate.virial import virial_rows
from fisher_mlip.data.checks import check_structures
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.certification import content_hash
from fisher_mlip.export.recast import recast
from fisher_mlip.model import Checkpoint

Level = Literal["quick", "full"]
Progress = Callable[[str], None]

RELAXING_ITERATIONS = 60


@dataclass(frozen=True)
class Extent:
    """How much a level checks.

    Attributes:
        frames: of the user's, at most.
        steps: of the micro-runs, 0.5 fs each.
        seconds: that a micro-run may take; on larger frames it is left out.
        seeds: of the symmetry operations.
        strained_atoms: largest frame of the user's that is strained (24 evaluations in float64).
    """

    frames: int
    steps: int
    seconds: float
    seeds: int
    strained_atoms: int


EXTENTS: dict[Level, Extent] = {
    "quick": Extent(frames=2, steps=100, seconds=30.0, seeds=1, strained_atoms=100),
    "full": Extent(frames=10, steps=2000, seconds=1800.0, seeds=4, strained_atoms=10_000),
}


@dataclass(frozen=True, eq=False)
class Subject:
    """What is under test: the artefact in the engine, its twins, and what they are tried on.

    Attributes:
        artefact: as exported.
        engine: of it.
        fresh: of it, with a list made anew for every evaluation.
        double, single: the same weights in float64 and float32; one of them is `engine`.
        frames: the user's, with their names.
        molecule, crystal: probes of the model's elements.
    """

    artefact: Artefact
    engine: Engine
    fresh: Engine
    double: Engine
    single: Engine
    frames: dict[str, Frame]
    molecule: Frame
    crystal: Frame


def certify(
    artefact: Artefact,
    *,
    frames: Sequence[Frame] = (),
    checkpoint: Checkpoint | None = None,
    platform: str = "auto",
    route: str = "auto",
    level: Level = "quick",
    seed: int = 0,
    show: Progress = lambda _: None,
) -> Certificate:
    """Run every check on an artefact in OpenMM, here.

    Args:
        artefact: the potential.
        frames: of the user; the first few are checked beside the probes.
        checkpoint: that the artefact was made from, for its parity with the eager model.
        platform: of OpenMM, or `auto`.
        route: how OpenMM reaches the model, or `auto`.
        level: how much is checked.
        seed: of probes, operations and velocities.
        show: told the name of each group of checks before it runs.

    Returns:
        The certificate; it may hold failed rows.

    Raises:
        InputError: a frame or a platform that cannot be used.
    """
    start, extent = time.perf_counter(), EXTENTS[level]
    _check_inputs(artefact, frames, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        tried, place = frames[: extent.frames], Path(folder)
        subject = subject_of(artefact, tried, place, platform=platform, route=route, seed=seed)
        rows = list(static_rows(subject, checkpoint, extent, seed, show))
        show("micro-runs")
        rows += _runs(subject, extent, seed)
    found = conditions(subject.engine, level)
    return Certificate(
        passed=all(row.verdict is not Verdict.FAILED for row in rows),
        weights_hash=artefact.manifest.weights_hash,
        content_hash=content_hash(artefact.path),
        dtype=artefact.manifest.dtype,
        cpu=cpu_name(),
        precision=subject.engine.properties.get("Precision", ""),
        conditions=found,
        reason=subject.engine.reason,
        checkpoint=checkpoint is not None,
        frames=len(subject.frames),
        seconds=round(time.perf_counter() - start, 1),
        rows=rows,
    )


def subject_of(
    artefact: Artefact,
    frames: Sequence[Frame],
    folder: Path,
    *,
    platform: str = "auto",
    route: str = "auto",
    seed: int = 0,
) -> Subject:
    """Return what is checked of an artefact; its twin is written into `folder`."""
    is_double = artefact.manifest.dtype == "float64"
    twin = recast(artefact, "float32" if is_double else "float64", folder)
    engine = Engine(artefact, platform=platform, route=route)
    other = Engine(twin, platform=platform, route=route)
    elements = artefact.manifest.elements
    return Subject(
        artefact,
        engine,
        Engine(artefact, platform=platform, route=route, skin=NO_SKIN),
        engine if is_double else other,
        other if is_double else engine,
        {f"frame {index}": frame for index, frame in enumerate(frames)},
        probe_molecule(elements, seed),
        probe_crystal(elements, seed),
    )


def static_rows(
    subject: Subject, checkpoint: Checkpoint | None, extent: Extent, seed: int, show: Progress
) -> Iterator[Row]:
    """Yield the rows of all checks but the micro-runs."""
    tried = {"molecule": subject.molecule, "crystal": subject.crystal} | subject.frames
    show("forces against the energy")
    yield from _gradients(subject, tried, seed)
    show("symmetries")
    yield from _symmetries(subject, tried, extent, seed)
    show("lists, cells and strains")
    yield from _cells(subject, tried, extent, seed)
    show("cutoff and separation")
    yield from _distances(subject)
    show("precision and parity")
    yield from _agreements(subject, tried, checkpoint)


def _gradients(subject: Subject, tried: dict[str, Frame], seed: int) -> Iterator[Row]:
    dtype = subject.artefact.manifest.dtype
    for on, frame in tried.items():
        # In float32 the twin's rows are the sharp ones: one whole Jacobian is enough.
        whole = dtype == "float64" or on == "molecule"
        yield from gradient_rows(subject.engine, frame, on, TOLERANCES[dtype], seed, whole=whole)
    if dtype == "float32":
        for on, frame in tried.items():
            twin = f"{on}, float64 twin"
            yield from gradient_rows(subject.double, frame, twin, TOLERANCES["float64"], seed)


def _symmetries(
    subject: Subject, tried: dict[str, Frame], extent: Extent, seed: int
) -> Iterator[Row]:
    allowed = TOLERANCES[subject.artefact.manifest.dtype]
    for on, frame in tried.items():
        for turn in range(extent.seeds):
            name = on if turn == 0 else f"{on}, again ({turn})"
            yield from symmetry_rows(subject.engine, frame, name, allowed, seed + turn)
    yield from reordering_rows(subject.engine, subject.molecule, "molecule", allowed)


def _cells(subject: Subject, tried: dict[str, Frame], extent: Extent, seed: int) -> Iterator[Row]:
    dtype = subject.artefact.manifest.dtype
    allowed, engine, crystal = TOLERANCES[dtype], subject.engine, subject.crystal
    yield from periodic.skin_rows(engine, subject.fresh, crystal, "crystal", allowed, seed)
    for on, frame in tried.items():
        if frame.is_periodic:
            yield from periodic.wrapping_rows(engine, frame, on, allowed, seed)
            yield from periodic.basis_rows(engine, frame, on, allowed)
    yield from periodic.supercell_rows(engine, crystal, "crystal", allowed)
    told = subject.double.artefact
    for on, frame in tried.items():
        if frame.n_atoms > extent.strained_atoms:
            continue
        yield from virial_rows(
            subject.double,
            lambda frame: strain_derivative(told, frame),
            frame,
            on if dtype == "float64" else f"{on}, float64 twin",
            TOLERANCES["float64"],
        )
    if dtype == "float32":
        # Of a fused kernel this is the only row on its own stress; the twin has none.
        own = subject.artefact
        yield from virial_rows(
            engine, lambda frame: strain_derivative(own, frame), crystal, "crystal", allowed
        )


def _distances(subject: Subject) -> Iterator[Row]:
    allowed = TOLERANCES[subject.artefact.manifest.dtype]
    cutoff = subject.artefact.manifest.cutoff
    yield from separation.crossing_rows(subject.engine, subject.molecule, cutoff, allowed)
    yield from separation.separation_rows(
        subject.engine,
        lambda frame: atomic_energies(subject.artefact, frame),
        subject.molecule,
        cutoff,
        allowed,
    )


def _agreements(
    subject: Subject, tried: dict[str, Frame], checkpoint: Checkpoint | None
) -> Iterator[Row]:
    dtype = subject.artefact.manifest.dtype
    for on, frame in tried.items():
        yield from agreement.precision_rows(subject.double, subject.single, frame, on)
    if subject.engine.built is not None and subject.engine.built.kernel == "fused":
        yield agreement.table_row(subject.artefact)
    if checkpoint is not None:
        eager = agreement.eager_potential(checkpoint, dtype)
        for on, frame in tried.items():
            yield from agreement.parity_rows(subject.engine, eager, frame, on, TOLERANCES[dtype])


def _runs(subject: Subject, extent: Extent, seed: int) -> Iterator[Row]:
    """Run from the first start that is fit for it, and say why another was not."""
    for on, frame in _starts(subject):
        # The first evaluation prepares a context.
        subject.double(frame)
        start = time.perf_counter()
        _, forces = subject.double(frame)
        expected = 4.0 * extent.steps * (time.perf_counter() - start)
        if not is_sane(forces):
            yield not_run(
                on, "no start: forces are too large for dynamics; give frames of your own"
            )
        elif expected > extent.seconds:
            yield not_run(on, f"expected {expected:.0f} s, allowed {extent.seconds:.0f} s")
        else:
            runs = micro_runs(subject.double, subject.single, frame, extent.steps, seed)
            yield from run_rows(runs, on, seed)
            return


def _starts(subject: Subject) -> Iterator[tuple[str, Frame]]:
    """Yield the user's first frame, then the probe molecule relaxed under the model."""
    yield from itertools.islice(subject.frames.items(), 1)
    yield "molecule, relaxed", subject.double.relaxed(subject.molecule, RELAXING_ITERATIONS)


def _check_inputs(
    artefact: Artefact, frames: Sequence[Frame], checkpoint: Checkpoint | None
) -> None:
    known = artefact.manifest.elements
    check_structures(Frames(tuple(frames), source="the frames"), trust_units=True)
    for index, frame in enumerate(frames):
        unknown = sorted({int(z) for z in frame.atomic_numbers} - set(known))
        if unknown:
            raise InputError(
                f"expected frames of the model's elements {known}, found Z={unknown[0]} in frame "
                f"{index}"
            )
    if checkpoint is None:
        return
    expected = (known, artefact.manifest.cutoff)
    found = (checkpoint.config.elements, checkpoint.config.model.cutoff)
    if found != expected:
        raise InputError(
            f"expected the checkpoint of the artefact (elements and cutoff {expected}), found one "
            f"of {found}"
        )
