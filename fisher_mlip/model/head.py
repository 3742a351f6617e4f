"""A larger linear space over the same network: the invariants of every layer, by element."""

import torch
from torch import Tensor

from fisher_mlip.config import HeadConfig, ModelConfig


class LayerInvariants(torch.nn.Module):
    """Invariant polynomials of one layer's features: scalars, squared norms, channel products.

    Products of two channels of one degree, sum_m v_im v_jm, are taken of `product_channels`
    combinations of the channels, the rows of `mixing_<degree>`.
    """

    def __init__(self, channels: int, max_degree: int, product_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.max_degree = max_degree
        self.product_channels = product_channels
        n_pairs = product_channels * (product_channels + 1) // 2
        self.n_invariants = channels * (max_degree + 1) + n_pairs * (max_degree + 1)
        mixing = torch.zeros((max_degree + 1, product_channels, channels))
        mixing[:, :, :product_channels] = torch.eye(product_channels)
        first, second = torch.triu_indices(product_channels, product_channels)
        self.mixing: Tensor
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("mixing", mixing)
        self.register_buffer("first", first)
        self.register_buffer("second", second)

    def weighted_sum(self, nodes: Tensor, theta: Tensor) -> Tensor:
        """Return the invariants times theta (n_elements, n_invariants), (n_atoms, n_elements).

        Products are summed as quadratic forms, without a column for each of them.
        """
        n, q, n_species = self.channels, self.product_channels, theta.shape[0]
        weights = theta.double()
        n_single = n * (self.max_degree + 1)
        singles = [nodes[:, :n].double()]
        n_pairs = self.first.shape[0]
        total = torch.zeros((nodes.shape[0], n_species), dtype=torch.float64, device=nodes.device)
        start = 0
        for degree in range(self.max_degree + 1):
            width = 2 * degree + 1
            block = nodes[:, start : start + n * width]
            start += n * width
            if degree > 0:
                squares = block.square().reshape(-1, n, width).sum(dim=2)
                singles.append(squares.double())
            if q > 0:
                place = n_single + degree * n_pairs
                form = torch.zeros((n_species, q, q), dtype=nodes.dtype, device=nodes.device)
                form[:, self.first, self.second] = theta[:, place : place + n_pairs].to(nodes.dtype)
                # Kronecker products make one matrix product of many small ones.
                same = torch.eye(width, dtype=nodes.dtype, device=nodes.device)
                mixed = block @ torch.kron(self.mixing[degree], same).t()
                turned = mixed @ torch.kron(form.reshape(n_species * q, q), same).t()
                turned = turned.reshape(-1, n_species, q * width)
                total = total + (turned * mixed[:, None]).sum(dim=2).double()
        return total + torch.cat(singles, dim=1) @ weights[:, :n_single].t()

    def forward(self, nodes: Tensor) -> Tensor:
        """Return (n_atoms, n_invariants) of node features (n_atoms, irreps)."""
        n = self.channels
        scalars = nodes[:, :n]
        parts = [scalars]
        products: list[Tensor] = []
        start = 0
        for degree in range(self.max_degree + 1):
            width = 2 * degree + 1
            block = nodes[:, start : start + n * width].reshape(-1, n, width)
            start += n * width
            if degree > 0:
                parts.append(block.square().sum(dim=2))
            if self.product_channels > 0:
                mixed = torch.matmul(self.mixing[degree], block)
                products.append((mixed[:, self.first] * mixed[:, self.second]).sum(dim=2))
        return torch.cat(parts + products, dim=1)


class LinearHead(torch.nn.Module):
    """sum_k theta_k[element] phi_k, added to the pretrained energies, which stay as they are.

    phi are the `LayerInvariants` of each layer but the last and of the features the readout sums
    (alone, where the kind is `per-element`), in units of the network's energy scale. theta,
    (n_elements, d), is zero until it is solved for.
    """

    def __init__(self, config: HeadConfig, model: ModelConfig, n_species: int) -> None:
        super().__init__()
        self.config = config
        self.n_species = n_species
        # Products of what is read out hardly say more, unless there is nothing else.
        last = model.num_iterations - 1
        n_multiplied = config.product_layers or last
        blocks = [
            LayerInvariants(
                model.features,
                model.max_degree,
                config.product_channels if layer < n_multiplied else 0,
            )
            for layer in range(last)
        ]
        readout = LayerInvariants(2 * model.features, 0, 0 if last else config.product_channels)
        self.every_layer = config.kind != "per-element"
        chosen = [readout] if config.kind == "per-element" else [*blocks, readout]
        self.blocks = torch.nn.ModuleList(chosen)
        self.widths = [block.n_invariants for block in chosen]
        self.n_invariants = sum(self.widths)
        self.theta = torch.nn.Parameter(
            torch.zeros((n_species, self.n_invariants), dtype=torch.float64)
        )

    def used(self, nodes: list[Tensor]) -> list[Tensor]:
        """Return the features that the blocks are of; what is read out holds the last layer's."""
        return nodes[:-2] + nodes[-1:] if self.every_layer else nodes[-1:]

    def invariants(self, nodes: list[Tensor]) -> Tensor:
        """Return phi, (n_atoms, d), of the features after each layer and of those read out."""
        used = self.used(nodes)
        parts: list[Tensor] = []
        for k, block in enumerate(self.blocks):
            parts.append(block(used[k]))
        return torch.cat(parts, dim=1)

    def forward(self, nodes: list[Tensor], species: Tensor) -> Tensor:
        """Return atomic energies (n_atoms,), float64, in units of the energy scale."""
        used = self.used(nodes)
        total = torch.zeros((species.shape[0], self.n_species), dtype=torch.float64)
        total = total.to(species.device)
        start = 0
        for k, block in enumerate(self.blocks):
            end = start + self.widths[k]
            theta = self.theta[:, start:end]
            total = total + block.weighted_sum(used[k], theta)  # type: ignore[operator]
            start = end
        return total.gather(1, species[:, None])[:, 0]


class SampledHeads(torch.nn.Module):
    """Deviations of theta from its solution, evaluated together.

    Each comes with the energy offsets per element that it would have been fitted with: the
    constant of an energy is no property of theta, and its uncertainty no uncertainty of forces.
    """

    def __init__(self, n_samples: int, n_species: int, n_invariants: int) -> None:
        super().__init__()
        self.n_species = n_species
        self.theta_samples: Tensor
        self.offset_samples: Tensor
        self.register_buffer("theta_samples", torch.zeros((n_samples, n_species, n_invariants)))
        self.register_buffer("offset_samples", torch.zeros((n_samples, n_species)))

    def forward(self, invariants: Tensor, species: Tensor) -> Tensor:
        """Return (n_atoms, n_samples), float64, in units of the energy scale."""
        total = self.offset_samples.double().t()[species]
        for element in range(self.n_species):
            of_element = (species == element).nonzero()[:, 0]
            theta = self.theta_samples[:, element].double()
            made = invariants[of_element].double() @ theta.t()
            total = total.index_add(0, of_element, made)
        return total
