"""Both routes are certified by the same rows: a few of them here, all of them in `verify`."""

from typing import Literal

import pytest

from fisher_mlip.certificate import Verdict, periodic
from fisher_mlip.certificate.checking import Subject
from fisher_mlip.certificate.engine import Engine, strain_derivative
from fisher_mlip.certificate.gradient import gradient_rows
from fisher_mlip.certificate.tolerances import TOLERANCES
from fisher_mlip.certificate.virial import virial_rows
from fisher_mlip.export import Artefact


@pytest.mark.parametrize("route", ["torchforce", "python"])
def test_a_route_passes(
    subject: Subject, artefact: Artefact, route: Literal["torchforce", "python"]
) -> None:
    engine = Engine(artefact, platform="Reference", route=route)
    allowed = TOLERANCES["float64"]
    rows = [
        *gradient_rows(engine, subject.crystal, "crystal", allowed, 0),
        *periodic.wrapping_rows(engine, subject.crystal, "crystal", allowed, 0),
        *virial_rows(
            engine, lambda frame: strain_derivative(artefact, frame), subject.crystal, "x", allowed
        ),
    ]
    assert {row.verdict for row in rows} == {Verdict.PASSED}
    assert engine.built is not None
    assert (engine.built.route, engine.built.kernel) == (route, "fused")
    assert engine.reason
