"""`fisher-mlip info`: what a file or folder is, from its manifest, configuration or header."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fisher_mlip.cli.console import console
from fisher_mlip.errors import InputError
from fisher_mlip.products import read_json

Facts = dict[str, Any]


def info(
    path: Annotated[Path, typer.Argument(help="A file or folder of any stage.", metavar="FILE")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of lines.")
    ] = False,
) -> None:
    """Say what a file or folder is and its main facts.

    Knows reference data, checkpoints, artefacts (model.pt), run folders and configurations. No
    model is loaded.

    Example: fisher-mlip info checkpoint/
    """
    facts = describe(path)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, default=str))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"{name:<{width}}  {_one_line(value)}", markup=False)


def describe(path: Path) -> Facts:
    """Return what `path` is (`kind`) and its main facts.

    Raises:
        InputError: it is nothing of ours.
    """
    if path.is_dir():
        return _describe_folder(path)
    if not path.exists():
        raise InputError(f"expected a file or folder '{path}', found none")
    if path.suffix in {".yaml", ".yml"}:
        return _describe_config(path)
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
    if {"config.yaml", "ledger.csv"} <= names:
        return _describe_run(folder)
    if "model.pt" in names:
        return _describe_artefact(folder / "model.pt")
    raise InputError(
        f"expected a checkpoint, an artefact or a run in '{folder}', found "
        + (", ".join(sorted(names)[:8]) or "an empty folder")
    )


def _describe_checkpoint(folder: Path) -> Facts:
    from safetensors import SafetensorError, safe_open

    from fisher_mlip.config import parse_config, read_yaml
    from fisher_mlip.model.checkpoint import CheckpointConfig

    config = parse_config(read_yaml(folder / "config.yaml"), CheckpointConfig, f"'{folder}'")
    weights = folder / "weights.safetensors"
    try:
        with safe_open(weights, framework="numpy") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"expected safetensors in '{weights}', found: {error}") from None
    return {
        "kind": "checkpoint",
        "elements": _symbols(config.elements),
        **config.model.model_dump(),
        "parameters": sum(math.prod(shape) for shape in shapes),
        "dtype": config.dtype,
        "reference_energies_ev": _by_symbol(config.reference_energies),
        "data_hash": config.data_hash,
        "provenance": config.provenance,
        "metrics": read_json(folder / "metrics.json"),
    }


def _describe_artefact(path: Path) -> Facts:
    from fisher_mlip.export import read_manifest

    manifest = read_manifest(path).model_dump()
    return {
        "kind": "artefact",
        **manifest,
        "elements": _symbols(manifest["elements"]),
        "reference_energies": _by_symbol(manifest["reference_energies"]),
    }


def _describe_run(folder: Path) -> Facts:
    from fisher_mlip.config import SimulateConfig, parse_config, read_yaml

    config = parse_config(read_yaml(folder / "config.yaml"), SimulateConfig, f"'{folder}'")
    with (folder / "ledger.csv").open(newline="", encoding="utf-8") as ledger:
        rows = [row for row in csv.reader(ledger) if row]
    last = dict(zip(rows[0], rows[-1], strict=False)) if len(rows) > 1 else {}
    summary = folder / "summary.json"
    status = read_json(summary).get("status") if summary.exists() else "no summary: not ended"
    return {
        "kind": "run",
        "status": status,
        "ledger_rows": max(len(rows) - 1, 0),
        "last_step": last.get('#"Step"', last.get("#Step", "0")),
        "time_ps": last.get("Time (ps)", "0"),
        "segments": len(list(folder.glob("trajectory*.dcd"))),
        **config.model_dump(),
    }


def _describe_config(path: Path) -> Facts:
    from fisher_mlip.config import Config, SimulateConfig, TrainConfig, parse_config, read_yaml
    from fisher_mlip.model.checkpoint import CheckpointConfig

    content = read_yaml(path)
    kinds: dict[str, type[Config]] = {
        "checkpoint configuration": CheckpointConfig,
        "simulation configuration": SimulateConfig,
        "training configuration": TrainConfig,
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

    return {"kind": "reference data", **describe_frames(read_frames(path))}


def _symbols(numbers: list[int]) -> list[str]:
    from ase.data import chemical_symbols

    return [str(chemical_symbols[number]) for number in numbers]


def _by_symbol(energies: Mapping[int, float]) -> dict[str, float]:
    return dict(zip(_symbols(list(energies)), energies.values(), strict=True))


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_one_line(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_one_line, value)) or "none"
    return "none" if value is None or value == "" else str(value)
