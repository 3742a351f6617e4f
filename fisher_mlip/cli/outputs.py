"""What `fisher-mlip info` says of outputs that no later stage takes whole: tables, reports, ..."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fisher_mlip.errors import InputError
from fisher_mlip.products import SUMMARY_NAME, read_json

Facts = dict[str, Any]

# Set from the training frames or to one, not learned, and so no parameters.
_SCALES = {"energy_scale", "message_scale"}
# What only a person, or OpenMM, can look into.
OPAQUE = {
    ".png": "picture",
    ".html": "report: open it in a browser",
    ".chk": "OpenMM's binary checkpoint of a run: `simulate --resume` goes on from it",
    ".xml": "OpenMM's state of a run: `simulate --resume` goes on from it",
}

_OF_FRAMES = (".xyz", ".extxyz", ".npz", ".json", ".csv")
# Files of LAMMPS, by their suffix; inputs are named in.NAME.
OF_LAMMPS = {
    ".data": "data file of LAMMPS",
    ".lammps": "log of LAMMPS: `analyze` reads its folder",
    ".lammpstrj": "dump of LAMMPS: `analyze` reads its folder",
}


def is_of_lammps(path: Path) -> bool:
    """Whether a name is one of LAMMPS's files; frames may be in in.xyz."""
    is_input = path.name.startswith("in.") and path.suffix not in _OF_FRAMES
    return is_input or path.suffix in OF_LAMMPS


def describe_lammps_file(path: Path) -> Facts:
    """Return what a file of LAMMPS is, and its first line."""
    is_input = path.name.startswith("in.")
    kind = "input of LAMMPS: `lmp -in` runs it" if is_input else OF_LAMMPS[path.suffix]
    with path.open(encoding="utf-8", errors="replace") as lines:
        first = lines.readline().strip().lstrip("# ")
    return {"kind": kind, "first_line": first[:200]}


def describe_table(path: Path) -> Facts:
    """Return rows, columns and the last row of a ledger or a training curve."""
    with path.open(newline="", encoding="utf-8", errors="replace") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if not rows:
        raise InputError(f"expected a header in '{path}', found an empty file")
    names = [name.strip('#"') for name in rows[0]]
    if path.name == "alarms.csv":
        return _describe_alarms(path)
    last = dict(zip(names, rows[-1], strict=False)) if len(rows) > 1 else {}
    return {"kind": "table", "rows": len(rows) - 1, "columns": names, "last_row": last}


def _describe_alarms(path: Path) -> Facts:
    from openmm_plugin.watch import read_alarms

    alarms = read_alarms(path)
    return {
        "kind": "alarms of a run's watch",
        "alarms": len(alarms),
        "rewinds": max((alarm.rewinds for alarm in alarms), default=0),
        "sentences": {f"{alarm.action} {n}": alarm.sentence for n, alarm in enumerate(alarms, 1)},
    }


def describe_weights(path: Path) -> Facts:
    """Return the number of parameters of a safetensors file and what was written beside them."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            shapes = {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
            metadata = tensors.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"expected safetensors in '{path}', found: {error}") from None
    try:
        return _describe_tensors(shapes, metadata)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"expected our header in '{path}', found a damaged one: {error}") from None


def _describe_tensors(shapes: dict[str, list[int]], metadata: dict[str, str]) -> Facts:
    if "tree" in metadata:
        return {"kind": "training state: `train --resume` goes on from it", "tensors": len(shapes)}
    if "normal_equations" in metadata:
        summed = json.loads(metadata["normal_equations"])
        return {
            "kind": "normal equations: `finetune --update` goes on from them",
            "frames": len(summed["frames"]),
            "held-out frames": len(summed["held_out_frames"]),
            "head": summed["head"]["kind"],
        }
    return {
        "kind": "weights",
        "tensors": len(shapes),
        "parameters": sum(math.prod(s) for name, s in shapes.items() if name not in _SCALES),
        **json.loads(metadata.get("meaning", "{}")),
    }


def describe_trajectory(path: Path) -> Facts:
    """Return the size of a DCD file."""
    from fisher_mlip.analysis.segments import dcd_size

    n_frames, n_atoms = dcd_size(path)
    return {"kind": "trajectory", "frames": n_frames, "atoms": n_atoms}


def describe_json(path: Path) -> Facts:
    """Return what a summary or another JSON of a command holds."""
    content = read_json(path)
    if str(content.get("format", "")).startswith("fisher-mlip certificate"):
        return _describe_certificate(path)
    kind = "summary" if path.name.endswith(SUMMARY_NAME) else "JSON"
    return {"kind": kind, **content}


def _describe_certificate(path: Path) -> Facts:
    """Return what came out of a certificate, where it was made, and each row's figure."""
    from fisher_mlip.certificate import read_certificate

    certificate = read_certificate(path)
    facts = certificate.model_dump(mode="json", exclude={"format", "rows"})
    rows = {
        f"{row.name} ({row.on})": f"{row.verdict.value}: "
        + ("no number" if row.figure is None else f"{row.figure:.2e} {row.unit}")
        for row in certificate.rows
    }
    return {
        "kind": "certificate",
        "passed": facts.pop("passed"),
        "failed": [row.name for row in certificate.failed],
        **facts,
        "figures": rows,
    }


def describe_report(folder: Path) -> Facts:
    """Return the verdicts of a report."""
    summary = read_json(folder / SUMMARY_NAME)
    verdicts = {run["label"]: run["verdict"] for run in summary.get("runs", [])}
    return {"kind": "report", "runs": len(verdicts), "verdicts": verdicts}


def describe_bench(folder: Path) -> Facts:
    """Return the time of a step, the shares of its parts, and what to change."""
    names = ("ms_per_step", "ns_per_day", "parts", "system", "what_to_change")
    summary = read_json(folder / SUMMARY_NAME, names)
    whole = [part for part in summary["parts"] if not part["of"]]
    shares = {part["name"]: f"{part['share_percent']:.1f} %" for part in whole}
    return {
        "kind": "bench of a run",
        "atoms": summary["system"]["atoms"],
        "ms_per_step": summary["ms_per_step"]["median"],
        "ns_per_day": summary["ns_per_day"],
        "shares": shares,
        "what_to_change": dict(enumerate(summary["what_to_change"], start=1)),
    }


def describe_comparison(folder: Path) -> Facts:
    """Return the models of a comparison and how many of their replicas broke."""
    models = read_json(folder / SUMMARY_NAME, ("models", "first"))["models"]
    return {
        "kind": "comparison of models",
        "models": [model["label"] for model in models],
        "replicas": [model["replicas"] for model in models],
        "broken": [sum(model.get("is_broken", [])) for model in models],
    }


def describe_diagnosis(folder: Path) -> Facts:
    """Return where the drift of a run comes from."""
    found = read_json(folder / SUMMARY_NAME, ("cause", "verdict", "run"))
    kind = "diagnosis of a run's drift"
    return {"kind": kind, **{key: found[key] for key in ("run", "cause", "verdict")}}


def describe_split(folder: Path) -> Facts:
    """Return the parts of a split."""
    return {"kind": "split", **read_json(folder / SUMMARY_NAME)}


# What stands beside a summary.json tells whose it is.
BESIDE_SUMMARY: dict[str, Callable[[Path], Facts]] = {
    "compare.yaml": describe_comparison,
    "diagnose.png": describe_diagnosis,
    "report.html": describe_report,
    "bench.png": describe_bench,
    "train.xyz": describe_split,
}
