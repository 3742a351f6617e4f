"""Which update a healing takes: the safe one where it helps, then any that helps, else none."""

from types import SimpleNamespace
from typing import Any

import pytest

from fisher_mlip.errors import InputError
from fisher_mlip.fisher import Options
from fisher_mlip.heal import solving
from fisher_mlip.heal.labels import Labels
from fisher_mlip.model.checkpoint import load_checkpoint

from .conftest import Poor, opls_frames


@pytest.fixture
def labels() -> Labels:
    return Labels(opls_frames(4, 0.1, 7), [10, 20, 30, 40], 4, [])


@pytest.mark.parametrize(
    ("errors", "chosen"),
    [
        ({False: 0.5, True: 0.1}, False),
        ({False: 2.0, True: 0.5}, True),
        ({False: 1.0, True: 1.0}, None),
        ({False: 2.0, True: float("nan")}, None),
    ],
)
def test_what_errs_less_than_what_runs_is_taken(
    poor: Poor,
    labels: Labels,
    monkeypatch: pytest.MonkeyPatch,
    errors: dict[bool, float],
    chosen: bool | None,
) -> None:
    """The force error of the model that runs is 1; keys say whether holes are allowed."""
    running: Any = load_checkpoint(poor.checkpoint)
    asked: list[bool] = []

    def update(*_: Any, options: Options, judging: Any) -> Any:
        asked.append(options.allow_holes)
        assert len(judging) == 1
        return SimpleNamespace(checkpoint=SimpleNamespace(holes=options.allow_holes))

    def force_rmse(checkpoint: Any, frames: Any) -> float:
        assert len(frames) == 4
        return 1.0 if checkpoint is running else errors[checkpoint.holes]

    monkeypatch.setattr(solving, "update", update)
    monkeypatch.setattr(solving, "force_rmse", force_rmse)
    gram: Any = SimpleNamespace()
    if chosen is None:
        with pytest.raises(InputError, match="errs less on 4 labels"):
            solving.solve_for(running, gram, labels)
    else:
        found: Any = solving.solve_for(running, gram, labels)
        assert found.checkpoint.holes == chosen
    assert asked == ([False] if chosen is False else [False, True])
