"""`fisher-mlip export --target torchforce`: an artefact for OpenMM and ASE."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fisher_mlip.cli.certificates import Level, with_certificate
from fisher_mlip.cli.console import console, progress_console, wrote
from fisher_mlip.config import DtypeName

if TYPE_CHECKING:
    from fisher_mlip.data import Frame
    from fisher_mlip.export.parity import Parity


@dataclass(frozen=True)
class Asked:
    """What every target is asked for.

    Attributes:
        checkpoint: its folder.
        target: name of the target.
        folder: to be made.
        dtype: of the network; the checkpoint's own if None.
        frames: file of the user's frames, None for none.
        seed: of the probes.
        certify: whether the artefact is tried in its engine.
        overwrite: whether the folder may be replaced.
    """

    checkpoint: Path
    target: str
    folder: Path
    dtype: DtypeName | None
    frames: Path | None
    seed: int
    certify: bool
    overwrite: bool


def export_for_openmm(asked: Asked, *, platform: str, level: Level) -> None:
    """Write the artefact of OpenMM and its certificate."""
    from fisher_mlip.export import parity as sameness
    from fisher_mlip.export.artefact import write_artefact
    from fisher_mlip.export.fusing import why_not_fused
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import sha256_of_file, whole_folder, write_summary

    checkpoint, frames, seed = asked.checkpoint, asked.frames, asked.seed
    loaded = load_checkpoint(checkpoint)
    own = usable_frames(frames)
    checked = [*sameness.probe_frames(loaded.config.elements, seed), *own]
    with whole_folder(
        asked.folder, overwrite=asked.overwrite, inputs=[checkpoint, frames]
    ) as partial:
        progress_console.print(f"parity on {len(checked)} frames")
        artefact = write_artefact(partial, loaded, asked.dtype)
        parity = sameness.compare(artefact, loaded, checked)
        sameness.require_parity(parity)
        of_fused, why_not = None, why_not_fused(artefact.manifest)
        if not why_not:
            of_fused = sameness.compare(artefact, loaded, checked, "fused")
            sameness.require_parity(of_fused)
        if asked.certify:
            progress_console.print("certificate: what comes out of OpenMM")
            artefact = with_certificate(
                artefact, loaded, own, platform=platform, level=level, seed=seed
            )
        summary = {
            "target": asked.target,
            "checkpoint": str(checkpoint),
            "model_sha256": sha256_of_file(artefact.path),
            "dtype": artefact.manifest.dtype,
            "parity": asdict(parity),
            "fused": asdict(of_fused) if of_fused else None,
            "why_not_fused": why_not,
            "certificate": artefact.manifest.certificate_hash or None,
        }
        write_summary(partial, summary)
        names = sorted(path.name for path in partial.iterdir())
    _print_parity(parity, of_fused, why_not, artefact.manifest.dtype)
    wrote(*(asked.folder / name for name in names))


def usable_frames(path: Path | None) -> "list[Frame]":
    """Read the user's frames, and refuse those that nothing can be evaluated on."""
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.checks import check_structures

    if path is None:
        return []
    frames = read_frames(path)
    check_structures(frames, trust_units=True)
    return list(frames)


def _print_parity(
    parity: "Parity", of_fused: "Parity | None", why_not: str, dtype: DtypeName
) -> None:
    console.print(
        f"parity on {parity.frames} frames: forces within {parity.force_difference:.1e} eV/Å, "
        f"energies within {parity.energy_difference_per_atom:.1e} eV/atom ({dtype})"
    )
    if of_fused is not None:
        console.print(
            f"fused operators: forces within {of_fused.force_difference:.1e} eV/Å, energies within "
            f"{of_fused.energy_difference_per_atom:.1e} eV/atom"
        )
    else:
        console.print(f"no fused operators: {why_not}", markup=False)
