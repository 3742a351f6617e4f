"""`fisher-mlip analyze`: run folders -> a report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fisher_mlip.cli.console import console, wrote


def analyze(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders to compare.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path(
        "report"
    ),
    labels: Annotated[
        str, typer.Option(help="Names of the runs, by commas. [default: the folders' names]")
    ] = "",
    discard_fraction: Annotated[
        float, typer.Option(help="Part of each run left out at its start for the second drift.")
    ] = 0.1,
    threshold: Annotated[
        float, typer.Option(help="Å off its reference length at which a bond is broken.")
    ] = 0.5,
    energy_threshold: Annotated[
        float, typer.Option(help="eV of spread above which a molecule's energy is counted.")
    ] = 0.1,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Extended XYZ whose frames give the bonds' reference lengths. "
            "[default: the run's first frames]"
        ),
    ] = None,
    intermolecular_distance: Annotated[
        float, typer.Option(help="Å; closer molecules of a box fail this criterion.")
    ] = 1.2,
    rdf_reference: Annotated[
        Path | None,
        typer.Option(help=".npz of radial distributions that windows of 1 ps are compared with."),
    ] = None,
    rdf_error: Annotated[
        float, typer.Option(help="Å of difference above which those windows fail.")
    ] = 3.0,
    observables: Annotated[
        bool,
        typer.Option(
            "--observables",
            help="Measure bonds, angles, h(r), the spectrum, and of boxes g(r) and diffusion.",
        ),
    ] = False,
    uncertainty: Annotated[
        int,
        typer.Option(
            min=0,
            help="Frames at which to evaluate the model's own uncertainty of forces; each costs "
            "some 16 steps.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap of the drift's interval.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a report that is there.")] = False,
) -> None:
    """Report drift, broken bonds and temperatures of one or more runs.

    A run is a folder of simulate, with either engine, or one with the log of any LAMMPS run (units
    metal or real) and, for bonds, its dump (id type element xu yu zu).

    A run that is still being written is read as far as it is whole.

    Example: fisher-mlip analyze runs/base runs/head --labels base,head -o report
    """
    from fisher_mlip.analysis import AnalysisConfig, analyze_runs, write_report
    from fisher_mlip.products import refuse_existing

    refuse_existing(output, overwrite=overwrite, inputs=[*runs, reference, rdf_reference])
    config = AnalysisConfig().changed(
        discard_fraction=discard_fraction,
        threshold=threshold,
        energy_threshold=energy_threshold,
        intermolecular_distance=intermolecular_distance,
        rdf_reference=rdf_reference,
        rdf_error=rdf_error,
        reference=reference,
        uncertainty_frames=uncertainty,
        seed=seed,
    )
    names = [name.strip() for name in labels.split(",")] if labels else None
    report = analyze_runs(runs, labels=names, config=config)
    sections, extra = [], dict[str, Any]()
    if observables:
        from fisher_mlip.analysis.observables.report import observables_section

        section, extra = observables_section([found.run for found in report.runs])
        sections = [section]
    written = write_report(
        report, output, sections=sections, extra_summary=extra, overwrite=overwrite
    )
    for found in report.runs:
        console.print(f"{found.run.label}: {found.verdict}", markup=False)
        for note in found.notes:
            console.print(f"note: {found.run.label}: {note}", markup=False)
    for note in report.notes:
        console.print(note, markup=False)
    wrote(*written)
