"""`fisher-mlip export`."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fisher_mlip.cli.certificates import Level, with_certificate
from fisher_mlip.cli.console import console, progress_console, wrote
from fisher_mlip.cli.options import Precision
from fisher_mlip.config import DtypeName

if TYPE_CHECKING:
    from fisher_mlip.data import Frame
    from fisher_mlip.export.parity import Parity


class Target(StrEnum):
    """Engines that an artefact can be made for."""

    TORCHFORCE = "torchforce"


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder (of train or finetune).")],
    target: Annotated[
        Target, typer.Option(help="torchforce: TorchScript for OpenMM's TorchForce.")
    ] = Target.TORCHFORCE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to make; default: beside CHECKPOINT."),
    ] = None,
    dtype: Annotated[
        Precision | None, typer.Option(help="Of the network; default: the checkpoint's own.")
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="Your frames (extended XYZ): parity is checked on these too."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the probe frames that parity is checked on.")
    ] = 0,
    certify: Annotated[
        bool, typer.Option(help="Check the artefact in OpenMM, and refuse it if a check fails.")
    ] = True,
    level: Annotated[
        Level, typer.Option(help="Of the certificate; full: picoseconds of dynamics, more frames.")
    ] = Level.QUICK,
    platform: Annotated[
        str, typer.Option(help="OpenMM platform of the certificate: auto, Reference, CPU, CUDA.")
    ] = "auto",
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile/--no-compile",
            help="Also compile the network for this machine (model.pt2): energies and forces in "
            "about half the time, by PythonForce and in Python. Takes a C++ compiler and one to "
            "five minutes of a core, most with a large head; a model whose compiled forces are not "
            "its own goes without.",
        ),
    ] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Export a checkpoint for a simulation engine, and prove that it is the same model.

    The artefact computes energies relative to isolated atoms (kJ/mol) from positions (nm), for
    any number of atoms, periodic or not, with its neighbor list and skin inside. Before it
    appears its energies and forces are compared with the eager model's: on a cluster, in a
    triclinic cell, with unwrapped coordinates, and on your frames. Then its certificate is made:
    what comes out of OpenMM is checked as `fisher-mlip verify` does, and the result is bound to
    the artefact. One that fails does not appear (exit code 5).

    Example: fisher-mlip export runs/finetuned --dtype float64 -o runs/exported
    """
    from fisher_mlip.export import parity as sameness
    from fisher_mlip.export.artefact import write_artefact
    from fisher_mlip.export.trial import compile_apart
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import sha256_of_file, sibling, whole_folder, write_summary

    loaded = load_checkpoint(checkpoint)
    of_compiled, why_not = None, "not asked for"
    folder = output or sibling(checkpoint, target.value)
    own = _usable_frames(frames)
    checked = [*sameness.probe_frames(loaded.config.elements, seed), *own]
    with whole_folder(folder, overwrite=overwrite, inputs=[checkpoint, frames]) as partial:
        progress_console.print(f"parity on {len(checked)} frames")
        artefact = write_artefact(partial, loaded, dtype.value if dtype else None)
        parity = sameness.compare(artefact, loaded, checked)
        sameness.require_parity(parity)
        if compiled:
            progress_console.print("compiling: some minutes; --no-compile leaves it out")
            of_compiled, why_not = compile_apart(artefact, checkpoint, frames, seed)
        if certify:
            progress_console.print("certificate: what comes out of OpenMM")
            artefact = with_certificate(
                artefact, loaded, own, platform=platform, level=level, seed=seed
            )
        summary = {
            "target": target.value,
            "checkpoint": str(checkpoint),
            "model_sha256": sha256_of_file(artefact.path),
            "dtype": artefact.manifest.dtype,
            "parity": asdict(parity),
            "compiled": asdict(of_compiled) if of_compiled else None,
            "why_not_compiled": why_not,
            "certificate": artefact.manifest.certificate_hash or None,
        }
        write_summary(partial, summary)
        names = sorted(path.name for path in partial.iterdir())
    _print_parity(parity, of_compiled, why_not, artefact.manifest.dtype)
    wrote(*(folder / name for name in names))


def _usable_frames(path: Path | None) -> "list[Frame]":
    """Read the user's frames, and refuse those that nothing can be evaluated on."""
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.checks import check_structures

    if path is None:
        return []
    frames = read_frames(path)
    check_structures(frames, trust_units=True)
    return list(frames)


def _print_parity(
    parity: "Parity", of_compiled: "Parity | None", why_not: str, dtype: DtypeName
) -> None:
    console.print(
        f"parity on {parity.frames} frames: forces within {parity.force_difference:.1e} eV/Å, "
        f"energies within {parity.energy_difference_per_atom:.1e} eV/atom ({dtype})"
    )
    if of_compiled is not None:
        console.print(f"compiled: forces within {of_compiled.force_difference:.1e} eV/Å")
    else:
        console.print(f"no compiled kernel: {why_not}", markup=False)
