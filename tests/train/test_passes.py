"""Which way gradients are taken, and that a training does not depend on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fisher_mlip.building import BuildError, find_compiler
from fisher_mlip.config import TrainConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.products import read_json
from fisher_mlip.train import passes, train_model
from fisher_mlip.train.curve import read_curve

Parts = tuple[Frames, Frames]
MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def compiler() -> None:
    try:
        find_compiler()
    except BuildError as failure:
        pytest.skip(str(failure))


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_training_over_the_operators_is_the_plain_one(
    tmp_path: Path,
    parts: Parts,
    tiny_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    ema_decay: float,
) -> None:
    config = tiny_config(ema_decay=ema_decay)
    fused = train_model(config, *parts, tmp_path / "fused")
    monkeypatch.setattr(passes, "why_not_fused", lambda config: "it is not wanted")
    plain = train_model(config, *parts, tmp_path / "plain")
    said = [read_json(tmp_path / name / "summary.json")["gradients"] for name in ("fused", "plain")]
    assert said == ["fused", "plain: it is not wanted"]
    for name, value in plain.network.named_parameters():
        found = dict(fused.network.named_parameters())[name]
        assert torch.allclose(found, value, rtol=1e-6, atol=1e-8), name
    curves = [read_curve(tmp_path / name / "training.csv") for name in ("fused", "plain")]
    for one, other in zip(*curves, strict=True):
        assert one.training_loss == pytest.approx(other.training_loss, rel=1e-8)
        assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-8)


@pytest.mark.usefixtures("compiler")
def test_what_the_operators_do_not_serve_is_said(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    assert passes.why_not_fused(config) == ""
    assert "stress" in passes.why_not_fused(tiny_config(stress_weight=1.0))
    steep = config.changed(model=config.model.changed(max_degree=4).model_dump())
    assert "degrees up to 3, the model 4" in passes.why_not_fused(steep)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert passes.why_not_fused(config) == ""
    assert "CPUs" in passes.why_not_fused(tiny_config(device="auto"))
