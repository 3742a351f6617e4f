"""The report of a quickstart: what came out, and how sure it is."""

from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.analysis import Section, analyze_runs, fill_report
from fisher_mlip.certificate.binding import own_certificate
from fisher_mlip.export import load_artefact
from fisher_mlip.fisher.plot import PLOT_NAME
from fisher_mlip.model import load_checkpoint
from fisher_mlip.quickstart.settings import MODELS, Quickstart
from fisher_mlip.train.metrics import ForceEnergyErrors, errors

MINIATURE = (
    "This is a miniature that shows that everything runs. Its sizes are far too small for its "
    "numbers, pictures and verdicts to mean anything: run the quickstart without --smoke for those."
)


def report(job: Quickstart) -> list[Path]:
    """Analyze the runs and write the report at the top of the folder."""
    job.show.stage("analyze: drift, stability, temperatures")
    names = {"base": "gas, base", "fisher": "gas, Fisher head"}
    runs = {names[name]: job.folder / f"run-gas-{name}" for name in job.gas_models}
    runs["liquid, Fisher head"] = job.folder / "run-liquid-fisher"
    test = job.part("test")
    found: dict[str, ForceEnergyErrors] = {}
    for name in MODELS:
        checkpoint = load_checkpoint(job.folder / name)
        found[name] = errors(checkpoint.network, test, checkpoint.config)
    written = fill_report(
        analyze_runs(list(runs.values()), labels=list(runs)),
        job.folder,
        sections=_sections(job, found),
        title="fisher-mlip quickstart: ethanol",
        banner=MINIATURE if job.config.is_miniature else "",
        extra_summary={
            "miniature": job.config.is_miniature,
            "test_errors": {name: error.as_metrics() for name, error in found.items()},
            "fisher": _without_path(job.solution),
        },
    )
    return [job.folder / name for name in written]


def _sections(job: Quickstart, found: dict[str, ForceEnergyErrors]) -> list[Section]:
    base = load_checkpoint(job.folder / "base")
    solution = job.solution
    test = job.part("test")
    labels = np.concatenate([f.forces.reshape(-1) for f in test if f.forces is not None])
    rows: list[list[object]] = [
        ["model", "force MAE (meV/Å)", "force RMSE (meV/Å)", "energy MAE (meV/atom)"]
    ]
    for name, error in found.items():
        figures = (error.force_mae, error.force_rmse, error.energy_per_atom_mae)
        rows.append([name, *(f"{1000 * figure:.2f}" for figure in figures)])
    head, before = solution["chosen"], solution["base"]
    chosen = f"the head '{head['head']}' with {head['features']} features was chosen"
    if solution["kept_pretrained"]:
        chosen = "no head was better and as safe: the pretrained model was kept (run once)"
    return [
        Section(
            "Errors on test frames",
            f"{len(job.part('train'))} training frames of the OPLS-AA reference, gas at 500 K and "
            f"liquid at 300 K; trained for {base.metrics.get('seconds', float('nan')):.0f} s. "
            f"Errors are over {len(test)} test frames, whose reference forces have a root mean "
            f"square of {1000.0 * np.sqrt(np.mean(labels**2)):.0f} meV/Å.",
            rows,
            [job.folder / "base" / "training_curve.png"],
        ),
        Section(
            "The Fisher head",
            f"theta = T^-1 c from {solution['force_components']} force components: {chosen}. "
            f"Held-out force RMSE {before['held_out_force_rmse_meV_A']:.1f} -> "
            f"{head['held_out_force_rmse_meV_A']:.1f} meV/Å; lowest way out of the data "
            f"{before['barrier_eV']:.2f} -> {head['barrier_eV']:.2f} eV, "
            f"{before['holes']} -> {head['holes']} holes (scans along which the energy comes down "
            "again: bonds stretched, angles bent, atoms pushed together).",
            [],
            [job.folder / "fisher" / PLOT_NAME],
        ),
        _certificate_section(job),
    ]


def _certificate_section(job: Quickstart) -> Section:
    """What was measured of the exported model in OpenMM, the worst figure of each check."""
    certificate = own_certificate(load_artefact(job.folder / "fisher-torchforce"))
    assert certificate is not None
    rows: list[list[object]] = [["check", "on", "figure", "at most", "unit", ""]]
    for row in certificate.brief:
        bounds = ["" if x is None else f"{x:.1e}" for x in (row.figure, row.tolerance)]
        rows.append([row.name, row.on, *bounds, row.unit, row.verdict.value])
    text = (
        f"{len(certificate.rows)} figures of the exported model with the Fisher head, measured in "
        f"OpenMM ({certificate.conditions.platform}, {certificate.dtype}) in "
        f"{certificate.seconds:.0f} s and bound to it by hash. `fisher-mlip verify` measures them "
        "again on any machine."
    )
    return Section("The certificate", text, rows, [])


def _without_path(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "heads"}
