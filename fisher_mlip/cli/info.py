"""`fisher-mlip info`: what a file or folder is, from its manifest, configuration or header."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fisher_mlip.cli import outputs
from fisher_mlip.cli.console import console
from fisher_mlip.errors import InputError
from fisher_mlip.products import read_json

Facts = dict[str, Any]

REFERENCE_DATA = "reference data"
FILES: dict[str, Callable[[Path], Facts]] = {
    ".csv": outputs.describe_table,
    ".safetensors": outputs.describe_weights,
    ".dcd": outputs.describe_trajectory,
    ".json": outputs.describe_json,
}
# Longer lists are cut; mappings that are longer in characters get a line for each entry.
_LONGEST_LIST = 12
_LONGEST_MAPPING = 80


def info(
    path: Annotated[Path, typer.Argument(help="A file or folder of any stage.", metavar="FILE")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of lines.")
    ] = False,
) -> None:
    """Say what a file or folder is and its main facts.

    Knows reference data, splits, checkpoints, artefacts (model.pt, model.lmp.pt), run folders,
    reports, comparisons, diagnoses, benches, configurations, and the files in them. No model is
    loaded.

    Example: fisher-mlip info checkpoint/
    """
    facts = describe(path)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, default=str))
        return
    if facts["kind"] == REFERENCE_DATA:
        from fisher_mlip.cli.overview_table import print_overview

        print_overview(facts)
        return
    for line in _lines(facts):
        console.print(line, markup=False)


def describe(path: Path) -> Facts:
    """Return what `path` is (`kind`) and its main facts.

    Raises:
        InputError: it is nothing of ours.
    """
    if not path.exists():
        raise InputError(f"expected a file or folder '{path}', found none")
    return _describe_folder(path) if path.is_dir() else _describe_file(path)


def _describe_file(path: Path) -> Facts:
    if path.suffix in {".yaml", ".yml"}:
        return _describe_config(path)
    if path.suffix in outputs.OPAQUE:
        return {"kind": outputs.OPAQUE[path.suffix]}
    if outputs.is_of_lammps(path):
        return outputs.describe_lammps_file(path)
    if path.suffix in FILES:
        return FILES[path.suffix](path)
    if path.suffix != ".npz" and _is_archive(path):
        return _describe_artefact(path)
    return _describe_frames(path)


def _is_archive(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(4) == b"PK\x03\x04"


def _describe_folder(folder: Path) -> Facts:
    names = {entry.name for entry in folder.iterdir()}
    if {"weights.safetensors", "config.yaml", "metrics.json"} <= names:
        return _describe_checkpoint(folder)
    if "config.yaml" in names and names & {"ledger.csv", "reference.json"}:
        return _describe_run(folder)
    for name in ("model.pt", "model.lmp.pt"):
        if name in names:
            return _describe_artefact(folder / name)
    if "log.lammps" in names:
        return _describe_lammps_folder(folder)
    for name, describe_summary in outputs.BESIDE_SUMMARY.items():
        if {name, "summary.json"} <= names:
            return describe_summary(folder)
    if "training.csv" in names:
        raise InputError(f"expected a model in '{folder}', found a training without one yet")
    raise InputError(
        f"expected an output of fisher-mlip in '{folder}', found "
        + (", ".join(sorted(names)[:8]) or "an empty folder")
    )


def _describe_checkpoint(folder: Path) -> Facts:
    from fisher_mlip.config import parse_config, read_yaml
    from fisher_mlip.model.checkpoint import CheckpointConfig

    config = parse_config(read_yaml(folder / "config.yaml"), CheckpointConfig, f"'{folder}'")
    return {
        "kind": "checkpoint",
        "elements": _symbols(config.elements),
        **config.model.model_dump(),
        "parameters": outputs.describe_weights(folder / "weights.safetensors")["parameters"],
        "dtype": config.dtype,
        "reference_energies_ev": _by_symbol(config.reference_energies),
        "data_hash": config.data_hash,
        "provenance": _without_model(config.provenance, config.model.model_dump()),
        "metrics": read_json(folder / "metrics.json"),
    }


def _without_model(provenance: Facts, model: Facts) -> Facts:
    """Return how weights came about, without the network's settings where those were told."""
    training = provenance.get("training")
    if not isinstance(training, dict) or training.get("model") != model:
        return provenance
    rest = {key: value for key, value in training.items() if key != "model"}
    return {**provenance, "training": rest}


def _describe_artefact(path: Path) -> Facts:
    """Return what a manifest says, of an artefact for OpenMM or for LAMMPS."""
    if path.name.endswith(".lmp.pt"):
        return _describe_lammps_artefact(path)
    return _describe_openmm_artefact(path)


def _describe_lammps_artefact(path: Path) -> Facts:
    from fisher_mlip.export.manifest import LAMMPS_FORMAT, read_manifest

    manifest = read_manifest(path, LAMMPS_FORMAT).model_dump(
        exclude={"certificate_hash", "certified"}
    )
    return {
        "kind": "artefact for LAMMPS",
        **manifest,
        "elements": _symbols(manifest["elements"]),
        "reference_energies": _by_symbol(manifest["reference_energies"]),
    }


def _describe_openmm_artefact(path: Path) -> Facts:
    from fisher_mlip.certificate.binding import told_of
    from fisher_mlip.export import Artefact, read_manifest
    from fisher_mlip.export.fusing import why_not_fused

    found = read_manifest(path)
    manifest = found.model_dump()
    return {
        "kind": "artefact",
        "certificate": told_of(Artefact(path, found)).removeprefix("came with: "),
        **manifest,
        "fused": why_not_fused(found, build=False) or "yes, on this machine",
        "elements": _symbols(manifest["elements"]),
        "reference_energies": _by_symbol(manifest["reference_energies"]),
    }


def _describe_run(folder: Path) -> Facts:
    from fisher_mlip.config import SimulateConfig, parse_config, read_yaml

    config = parse_config(read_yaml(folder / "config.yaml"), SimulateConfig, f"'{folder}'")
    ledger = folder / "ledger.csv"
    table: Facts = {"rows": 0, "last_row": {}}
    if config.engine == "lammps":
        table = _describe_lammps_rows(folder)
    elif ledger.is_file() and ledger.stat().st_size:
        table = outputs.describe_table(ledger)
    last = table["last_row"]
    summary = folder / "summary.json"
    reference = folder / "reference.json"
    # The configuration's number of molecules is a default where a file holds the system.
    molecules = read_json(reference).get("n_molecules") if reference.exists() else None
    status = read_json(summary).get("status") if summary.exists() else "no summary: not ended"
    return {
        "kind": "run",
        "status": status,
        "ledger_rows": table["rows"],
        "last_step": last.get("Step", "0"),
        "time_ps": last.get("Time (ps)", "0"),
        "segments": len(list(folder.glob("trajectory*.*"))),
        **config.changed(molecules=molecules).model_dump(),
    }


def _describe_lammps_folder(folder: Path) -> Facts:
    """Return what is to be seen of a LAMMPS run that was not made by `simulate`."""
    table = _describe_lammps_rows(folder)
    rows = {"rows": table["rows"], "time_ps": table["last_row"].get("Time (ps)", "none")}
    return {"kind": "LAMMPS run: `analyze` reads it", **rows}


def _describe_lammps_rows(folder: Path) -> Facts:
    """Return rows and the last of them as a ledger's, of the logs of a run in LAMMPS."""
    from fisher_mlip.analysis.reading import read_run

    try:
        run = read_run(folder)
    except InputError:
        return {"rows": 0, "last_row": {}}
    times, timestep_ps = run.ledger.time_ps, run.config.timestep / 1000.0
    last = {"Step": str(round(times[-1] / timestep_ps)), "Time (ps)": f"{times[-1]:.12g}"}
    return {"rows": len(times), "last_row": last}


def _describe_config(path: Path) -> Facts:
    from fisher_mlip.config import Config, SimulateConfig, TrainConfig, parse_config, read_yaml
    from fisher_mlip.model.checkpoint import CheckpointConfig
    from fisher_mlip.quickstart import QuickstartConfig
    from fisher_mlip.train.order import TrainingOrder

    content = read_yaml(path)
    kinds: dict[str, type[Config]] = {
        "checkpoint configuration": CheckpointConfig,
        "simulation configuration": SimulateConfig,
        "training configuration": TrainConfig,
        "data and configuration of a training": TrainingOrder,
        "sizes of a quickstart": QuickstartConfig,
    }
    for name, kind in kinds.items():
        try:
            return {"kind": name, **parse_config(content, kind, f"'{path}'").model_dump()}
        except InputError:
            continue
    raise InputError(f"expected a configuration in '{path}', found one that fits no command")


def _describe_frames(path: Path) -> Facts:
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.overview import describe_frames

    return {"kind": REFERENCE_DATA, **describe_frames(read_frames(path))}


def _symbols(numbers: list[int]) -> list[str]:
    from ase.data import chemical_symbols

    return [str(chemical_symbols[number]) for number in numbers]


def _by_symbol(energies: Mapping[int, float]) -> dict[str, float]:
    return dict(zip(_symbols(list(energies)), energies.values(), strict=True))


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a line for each fact; those of a long mapping are indented below its name."""
    width = max((len(str(name)) for name in facts), default=0)
    for name, value in facts.items():
        if isinstance(value, Mapping) and len(_one_line(value)) > _LONGEST_MAPPING:
            yield f"{indent}{name}"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{name:<{width}}  {_one_line(value)}"


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_one_line(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        shown = ", ".join(map(_one_line, value[:_LONGEST_LIST])) or "none"
        return shown if len(value) <= _LONGEST_LIST else f"{shown}, ... ({len(value)} in all)"
    if isinstance(value, float):
        return f"{value:.8g}"
    return "none" if value is None or value == "" else str(value)
