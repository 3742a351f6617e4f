"""The file of normal equations: whole, or refused in one sentence."""

import copy
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.gram_file import (
    GramFile,
    frame_hashes,
    load_gram,
    mixing_of,
    network_hash,
    save_gram,
    set_mixing,
)
from fisher_mlip.fisher.normal_equations import accumulate
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.fisher.outside.scans import make_scans
from fisher_mlip.model import Checkpoint

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture
def content(random_checkpoint: MakeCheckpoint, ethanol_frames: Frames) -> GramFile:
    checkpoint = random_checkpoint("products")
    network = checkpoint.network
    parts = [ethanol_frames.subset(part) for part in ([0, 1], [2])]
    sums = [accumulate(network, part, [1, 6, 8]) for part in parts]
    cell, pbc = np.diag([8.0, 7.0, 6.0]), np.array([True, False, True])
    slab = Frame(ethanol_frames[0].atomic_numbers, ethanol_frames[0].positions, cell, pbc)
    return GramFile(
        checkpoint.config.head,
        mixing_of(network),
        network.readout.detach().numpy(),
        network.shift.detach().numpy(),
        *sums,
        *(frame_hashes(part) for part in parts),
        network_hash(network),
        weighted=True,
        scans=[*make_scans(parts[0], n_starts=1)[:3], *make_scans(Frames((slab,)))[:2]],
    )


def assert_same_scans(found: Scan, expected: Scan) -> None:
    assert (found.kind, found.name) == (expected.kind, expected.name)
    assert np.array_equal(found.path, expected.path)
    assert np.array_equal(found.rise, expected.rise)
    for one, other in zip(found.points, expected.points, strict=True):
        for name in ("atomic_numbers", "positions", "cell", "pbc"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_round_trip_is_exact(tmp_path: Path, content: GramFile) -> None:
    save_gram(tmp_path / "gram.safetensors", content)
    again = load_gram(tmp_path / "gram.safetensors")
    for part in ("training", "held_out"):
        mine, theirs = getattr(again, part), getattr(content, part)
        assert mine.n_frames == theirs.n_frames
        for kind in ("forces", "energies", "virials"):
            one, other = getattr(mine, kind), getattr(theirs, kind)
            assert np.array_equal(one.gram, other.gram)
            assert np.array_equal(one.moment, other.moment)
            assert (one.square, one.weight, one.count) == (other.square, other.weight, other.count)
    for scans in zip(again.scans, content.scans, strict=True):
        assert_same_scans(*scans)
    assert again.mixing.keys() == content.mixing.keys()
    assert all(np.array_equal(again.mixing[name], content.mixing[name]) for name in content.mixing)
    assert np.array_equal(again.readout, content.readout)
    assert np.array_equal(again.shift, content.shift)
    plain = ("head", "frames", "held_out_frames", "network_hash", "weighted")
    assert {f.name for f in fields(GramFile)} >= set(plain)
    assert all(getattr(again, name) == getattr(content, name) for name in plain)
    assert math.isnan(again.training.virials.rms())


def test_sabotage_a_number_changed_is_seen(tmp_path: Path, content: GramFile) -> None:
    save_gram(tmp_path / "one", content)
    content.training.forces.gram[0, 0] += 1e-12
    save_gram(tmp_path / "other", content)
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


def test_no_scans_are_no_scans(tmp_path: Path, content: GramFile) -> None:
    save_gram(tmp_path / "gram", replace(content, scans=()))
    assert load_gram(tmp_path / "gram").scans == []


@pytest.mark.parametrize("kept", [0, 4, 100, -1, -5000])
def test_a_truncated_file_is_refused_in_one_sentence(
    tmp_path: Path, content: GramFile, kept: int
) -> None:
    path = tmp_path / "gram.safetensors"
    save_gram(path, content)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="expected normal equations in") as error:
        load_gram(path)
    assert "\n" not in str(error.value)


def test_what_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gram.safetensors"
    with pytest.raises(InputError, match="expected normal equations in"):
        load_gram(path)
    for metadata in (None, {"normal_equations": "{}"}, {"normal_equations": "[1"}):
        save_file({"readout": np.zeros(3)}, path, metadata=metadata)
        with pytest.raises(InputError, match="expected normal equations in"):
            load_gram(path)


def test_the_hash_is_of_what_features_depend_on(random_checkpoint: MakeCheckpoint) -> None:
    network = random_checkpoint("products").network
    before = network_hash(network)
    network.readout.data += 1.0
    network.shift.data += 1.0
    network.head = None
    assert network_hash(network) == before
    seen = {before}
    for values in (network.embedding.weight, network.refine[0].bias, network.energy_scale):
        values.data.mul_(1.0 + 1e-12)
        seen.add(network_hash(network))
    assert len(seen) == 4


def test_a_cast_of_the_model_is_the_same_model(random_checkpoint: MakeCheckpoint) -> None:
    single = random_checkpoint().network.float()
    assert network_hash(copy.deepcopy(single).double()) == network_hash(single)


def test_frames_differ_by_any_label(ethanol_frames: Frames) -> None:
    frame = ethanol_frames[0]
    others = [frame, frame.relabelled(energy=1.0), frame.relabelled(forces=None), ethanol_frames[1]]
    assert len(set(frame_hashes(Frames(tuple(others))))) == 4
    assert frame_hashes(ethanol_frames)[:1] == frame_hashes(ethanol_frames.subset([0]))


def test_product_channels_are_set_by_name(random_checkpoint: MakeCheckpoint) -> None:
    one, other = random_checkpoint("products"), random_checkpoint("products", seed=3)
    set_mixing(other.network, mixing_of(one.network))
    for name, value in mixing_of(other.network).items():
        assert torch.equal(torch.from_numpy(value), dict(one.network.named_buffers())[name])
    assert mixing_of(random_checkpoint("all-layers").network)


def test_edited_sums_are_refused_in_one_sentence(tmp_path: Path, content: GramFile) -> None:
    forces = content.training.forces
    smaller = replace(forces, gram=forces.gram[:-1, :-1])
    wrong = [
        replace(content, training=replace(content.training, forces=each))
        for each in (
            smaller,
            replace(forces, gram=-forces.gram),
            replace(forces, moment=np.full_like(forces.moment, np.nan)),
            replace(forces, weight=-1.0),
        )
    ]
    wrong += [replace(content, frames=content.frames[:-1]), replace(content, shift=np.zeros(1))]
    wrong += [replace(content, held_out_frames=[1 for _ in content.held_out_frames])]  # type: ignore[misc]
    for each in wrong:
        save_gram(tmp_path / "gram", each)
        with pytest.raises(InputError, match="expected normal equations in") as error:
            load_gram(tmp_path / "gram")
        assert "\n" not in str(error.value)
