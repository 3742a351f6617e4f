"""`fisher-mlip verify`: an artefact's certificate made again, here."""

from pathlib import Path
from typing import Annotated

import typer

from fisher_mlip.cli.certificates import Level, print_certificate, shown_checks
from fisher_mlip.cli.console import console, wrote


def verify(
    artefact: Annotated[Path, typer.Argument(help="Exported model: model.pt or its folder.")],
    frames: Annotated[
        Path | None,
        typer.Option("--on", help="Your frames (extended XYZ): the first few are checked too."),
    ] = None,
    platform: Annotated[
        str, typer.Option(help="OpenMM platform: auto, Reference, CPU, CUDA.")
    ] = "auto",
    route: Annotated[
        str, typer.Option(help="How OpenMM reaches the model; auto chooses.")
    ] = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint that the artefact was made from: parity with the eager model."
        ),
    ] = None,
    level: Annotated[
        Level, typer.Option(help="full: picoseconds of dynamics and more frames.")
    ] = Level.QUICK,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the certificate (JSON) here.")
    ] = None,
    bind: Annotated[
        bool,
        typer.Option("--bind", help="Make it the artefact's own certificate, if it passes."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of probes, operations and velocities.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Run an exported model's certificate again, on this machine and platform.

    Checks energies and forces out of a real OpenMM Context: the gradient and its symmetry,
    symmetries of space, lists and cells, strains, the cutoff, precision, short NVE runs. Leaves
    with exit code 5 when a check fails.

    Example: fisher-mlip verify exported --on held_out.xyz --platform CPU
    """
    from fisher_mlip.certificate import certify
    from fisher_mlip.certificate.binding import bind as bind_to
    from fisher_mlip.certificate.binding import told_of
    from fisher_mlip.data import read_frames
    from fisher_mlip.export import load_artefact
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import refuse_existing, write_text

    if output is not None:
        refuse_existing(output, overwrite=overwrite, inputs=[artefact, frames, checkpoint])
    loaded = load_artefact(artefact)
    console.print(told_of(loaded), markup=False)
    with shown_checks() as show:
        certificate = certify(
            loaded,
            frames=list(read_frames(frames)) if frames is not None else [],
            checkpoint=load_checkpoint(checkpoint) if checkpoint is not None else None,
            platform=platform,
            route=route,
            level=level.value,
            seed=seed,
            show=show,
        )
    print_certificate(certificate)
    if output is not None:
        write_text(output, certificate.text())
        wrote(output)
    certificate.require_passed()
    if bind:
        bound = bind_to(loaded, certificate)
        wrote(bound.path.parent / "certificate.json", bound.path)
