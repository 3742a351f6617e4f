"""An `EquivariantNetwork` whose layers are the fused operators: to evaluate, not to train."""

import copy

import torch
from torch import Tensor

from fisher_mlip.fused.head import FusedHead
from fisher_mlip.fused.packing import PackedLayer, pack_layer
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.repulsion import INNER_FRACTION, ScreenedRepulsion


class FusedInteraction(torch.nn.Module):
    """One layer: `Interaction` with its radial functions tabulated."""

    def __init__(self, packed: PackedLayer, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.sizes = [packed.channels, packed.degree_in, packed.degree_out]
        self.table: Tensor
        self.maps: Tensor
        self.transposed: Tensor
        self.register_buffer("table", packed.table)
        self.register_buffer("maps", packed.maps)
        self.register_buffer("transposed", packed.transposed)

    def forward(
        self,
        nodes: Tensor,
        edges: list[Tensor],
        message_scale: Tensor,
        n_out: int | None = None,
    ) -> Tensor:
        """Return the new features of all atoms, or of the first `n_out`.

        Args:
            nodes: (n_atoms, irreps).
            edges: as `FusedNetwork.edge_tensors` makes them.
            message_scale: not used: the table has it.
            n_out: edges of later receivers are left out.
        """
        n_made = nodes.shape[0] if n_out is None else n_out
        made: Tensor = torch.ops.fisher_mlip.interaction(
            nodes,
            edges[0],
            edges[1],
            edges[2:],
            self.table,
            self.maps,
            self.transposed,
            self.sizes + [n_made],  # noqa: RUF005  # TorchScript has no other way
            self.cutoff,
        )
        return made


class FusedRepulsion(ScreenedRepulsion):
    """A repulsion as it is on a CPU; on a GPU one operator, which nothing waits for."""

    def __init__(self, plain: ScreenedRepulsion) -> None:
        torch.nn.Module.__init__(self)
        self.plain = plain
        self.reach = float(plain.outer.max())
        self.inner = INNER_FRACTION
        self.tables: Tensor
        tables = torch.stack([plain.strength, plain.length, plain.outer]).double()
        self.register_buffer("tables", tables)

    def forward(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> Tensor:
        """Return the energy of each atom, as `ScreenedRepulsion`."""
        if not edge_vectors.is_cuda:
            on_cpu: Tensor = self.plain(species, edge_vectors, senders, receivers)
            return on_cpu
        energies: Tensor = torch.ops.fisher_mlip.core_energies(
            edge_vectors,
            species,
            senders,
            receivers,
            self.tables,
            self.reach,
            self.inner,
        )
        return energies


class FusedNetwork(EquivariantNetwork):
    """The same energies and slopes as the network it is made from, to the tables' error.

    The operators must be loaded (`why_no_operators`) before it is made, and before a script of it
    is read. It has no second derivatives.

    Args:
        network: in the dtype that is to be evaluated; it is not changed.

    Attributes:
        table_error: the largest error of a radial function's slope over the largest slope.

    Raises:
        FusedError: a degree that no layer is compiled for.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        torch.nn.Module.__init__(self)
        own = copy.deepcopy(network).requires_grad_(False)
        dtype = own.energy_scale.dtype
        self.cutoff, self.n_basis = own.cutoff, own.n_basis
        for name in ("embedding", "refine", "samples"):
            setattr(self, name, getattr(own, name))
        self.repulsion = None if own.repulsion is None else FusedRepulsion(own.repulsion)
        self.head = None if own.head is None else FusedHead(own.head)
        for name in ("readout", "shift"):
            self.register_parameter(name, getattr(own, name))
        self.register_buffer("energy_scale", own.energy_scale)
        self.register_buffer("message_scale", own.message_scale)
        layers = [layer for layer in own.layers if isinstance(layer, Interaction)]
        packed = [pack_layer(layer, own, dtype) for layer in layers]
        self.table_error = max(each.table_error for each in packed)
        self.max_degree = max(each.degree_out for each in packed)
        self.layers = torch.nn.ModuleList(FusedInteraction(each, own.cutoff) for each in packed)
        self.eval()

    def edge_tensors(
        self, edge_vectors: Tensor, senders: Tensor, receivers: Tensor, n_atoms: int
    ) -> list[Tensor]:
        """Return harmonics, distances, and the edges in the order of both their ends."""
        harmonics, distances = torch.ops.fisher_mlip.edge_geometry(edge_vectors, self.max_degree)
        order: list[Tensor] = torch.ops.fisher_mlip.edge_order(senders, receivers, n_atoms)
        return [harmonics, distances] + order  # noqa: RUF005  # TorchScript has no other way

    def first_edges(self, edges: list[Tensor], n_edges: int) -> list[Tensor]:
        """Return all edges: a layer leaves out those whose receivers are not wanted."""
        return edges
