"""The typed result: rows of figures with their tolerances, and the certificate that holds them."""

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import Any

from fisher_mlip.config import Config, DtypeName, parse_config
from fisher_mlip.errors import InputError, UncertifiedError
from fisher_mlip.export.manifest import CertifiedConditions
from fisher_mlip.products import read_json

FORMAT = "fisher-mlip certificate 1"


class Verdict(StrEnum):
    """What a row says."""

    PASSED = "passed"
    FAILED = "failed"
    REPORTED = "reported"


class Row(Config):
    """One figure of a certificate.

    Attributes:
        name: of the check; the same in every certificate.
        on: what it was measured on.
        measured: what the figure is, in words.
        figure: None where it is not a finite number.
        unit: of figure and tolerance.
        tolerance: the largest figure that passes; None where the figure is only reported.
        verdict: passed, failed, or reported.
        note: what else a reader must know.
    """

    name: str
    on: str
    measured: str
    figure: float | None
    unit: str
    tolerance: float | None
    verdict: Verdict
    note: str = ""


class Certificate(Config):
    """What was found of an artefact, where, and with which tolerances.

    Attributes:
        format: kind and version of this file.
        passed: whether no row failed.
        weights_hash: of the artefact's weights, as in its manifest.
        content_hash: SHA-256 over all of `model.pt` but its manifest.
        dtype: of the network.
        cpu: the processor's own name.
        precision: of the platform, where it has several.
        conditions: platform, device, route, kernel, versions, date.
        reason: why this route and kernel.
        checkpoint: whether the eager model was at hand.
        frames: how many of the user's frames were checked.
        seconds: that it took.
        rows: the figures.
    """

    format: str = FORMAT
    passed: bool
    weights_hash: str
    content_hash: str
    dtype: DtypeName
    cpu: str
    precision: str = ""
    conditions: CertifiedConditions
    reason: str = ""
    checkpoint: bool
    frames: int
    seconds: float
    rows: list[Row]

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if row.verdict is Verdict.FAILED]

    @property
    def brief(self) -> list[Row]:
        """A row for each check, that of its worst figure, with how many stand behind it; the failed
        ones all."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.name, []).append(row)
        found: list[Row] = []
        for rows in groups.values():
            failed = [row for row in rows if row.verdict is Verdict.FAILED]
            found += failed or [_worst(rows)]
        return found

    def text(self) -> str:
        """Return the content of `certificate.json`."""
        return self.model_dump_json(indent=2) + "\n"

    def require_passed(self) -> None:
        """Refuse an artefact that failed.

        Raises:
            UncertifiedError: naming the worst failed row, and the others.
        """
        failed = sorted(self.failed, key=_excess, reverse=True)
        if not failed:
            return
        worst = failed[0]
        figure = "no number" if worst.figure is None else f"{worst.figure:.3g} {worst.unit}"
        others = ", ".join(dict.fromkeys(row.name for row in failed if row.name != worst.name))
        raise UncertifiedError(
            f"the exported model fails its certificate: '{worst.name}' on the {worst.on} "
            f"({worst.measured}) expected at most {worst.tolerance:.3g} {worst.unit}, found "
            f"{figure}" + (f"; also failed: {others}" if others else "")
        )


def _worst(rows: list[Row]) -> Row:
    judged = [row for row in rows if row.tolerance is not None]
    worst = max(judged or rows, key=_excess)
    if len(rows) == 1:
        return worst
    return worst.model_copy(update={"on": f"{worst.on} (of {len(rows)})"})


def judged(
    name: str, on: str, measured: str, figure: float, unit: str, tolerance: float, note: str = ""
) -> Row:
    """Return a row that passes up to its tolerance; what is not finite fails."""
    finite = math.isfinite(figure)
    verdict = Verdict.PASSED if finite and figure <= tolerance else Verdict.FAILED
    return Row(
        name=name,
        on=on,
        measured=measured,
        figure=figure if finite else None,
        unit=unit,
        tolerance=tolerance,
        verdict=verdict,
        note=note,
    )


def reported(name: str, on: str, measured: str, figure: float, unit: str, note: str = "") -> Row:
    """Return a row without a verdict."""
    return Row(
        name=name,
        on=on,
        measured=measured,
        figure=figure if math.isfinite(figure) else None,
        unit=unit,
        tolerance=None,
        verdict=Verdict.REPORTED,
        note=note,
    )


def read_certificate(path: Path) -> Certificate:
    """Read a `certificate.json`.

    Raises:
        InputError: missing, damaged, or of another format.
    """
    content: dict[str, Any] = read_json(path, ["format", "rows"])
    if content["format"] != FORMAT:
        raise InputError(
            f"expected format '{FORMAT}' in '{path}', found {json.dumps(content['format'])}"
        )
    return parse_config(content, Certificate, f"'{path}'")


def _excess(row: Row) -> float:
    if row.figure is None or not row.tolerance:
        return math.inf
    return row.figure / row.tolerance
