"""A model with a head, exported: the script is the eager model in both dtypes."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.config import DtypeName, HeadConfig
from fisher_mlip.data.frames import Frame
from fisher_mlip.errors import InputError
from fisher_mlip.export import write_artefact
from fisher_mlip.export.parity import compare, probe_frames, require_parity
from fisher_mlip.model import Checkpoint, new_network

HEADS = {
    "per-element": HeadConfig(kind="per-element"),
    "all-layers": HeadConfig(kind="all-layers"),
    "products": HeadConfig(kind="products", product_channels=4),
}
ISOLATED = Frame(np.array([6, 1, 8]), np.array([[0.0, 0, 0], [1.1, 0, 0], [40.0, 0, 0]]))


def with_head(base: Checkpoint, kind: str) -> Checkpoint:
    """Return the model with a random theta whose forces are as large as its own."""
    config = base.config.model_copy(update={"head": HEADS[kind], "sampled_heads": 0})
    torch.manual_seed(0)
    network = new_network(config).eval()
    network.load_state_dict(base.network.state_dict(), strict=False)
    assert network.head is not None
    network.head.theta.data = 0.3 * torch.randn_like(network.head.theta)
    for block in network.head.blocks:
        block.mixing.copy_(torch.randn_like(block.mixing))
    return Checkpoint(network, config)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("per-element", "float32"),
        ("all-layers", "float64"),
        ("products", "float32"),
        ("products", "float64"),
    ],
)
def test_the_exported_head_is_the_eager_one(
    tmp_path: Path, fitted_checkpoint: Checkpoint, kind: str, dtype: DtypeName
) -> None:
    checkpoint = with_head(fitted_checkpoint, kind)
    triclinic = probe_frames([1, 6, 8])[1]
    artefact = write_artefact(tmp_path, checkpoint, dtype)
    require_parity(compare(artefact, copy.deepcopy(checkpoint), [triclinic, ISOLATED]))
    other = copy.deepcopy(checkpoint)
    assert other.network.head is not None
    other.network.head.theta.data *= 1.0 + (1e-6 if dtype == "float64" else 1e-2)
    with pytest.raises(InputError, match="is not the eager one"):
        require_parity(compare(artefact, other, [ISOLATED]))
