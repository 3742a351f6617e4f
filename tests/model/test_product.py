"""The channel-wise product against e3nn's, its derivatives, and TorchScript."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from e3nn import o3
from torch import Tensor

from fisher_mlip.model.interaction import degree_irreps, product_paths
from fisher_mlip.model.product import ChannelProduct

CHANNELS, N_ATOMS, N_EDGES = 3, 4, 9


@dataclass(frozen=True)
class Case:
    """Both products of the same degrees, and inputs for them."""

    ours: ChannelProduct
    theirs: o3.TensorProduct
    inputs: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]

    def expected(self) -> Tensor:
        nodes, senders, receivers, harmonics, weights = self.inputs
        messages = self.theirs(nodes[senders], harmonics, weights)
        return torch.zeros(N_ATOMS, messages.shape[1]).index_add(0, receivers, messages)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    degree_in, degree_out = request.param
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    request.addfinalizer(lambda: torch.set_default_dtype(before))
    torch.manual_seed(0)
    nodes = degree_irreps(CHANNELS, degree_in)
    edges = o3.Irreps.spherical_harmonics(2)
    messages, paths = product_paths(nodes, edges, degree_irreps(CHANNELS, degree_out))
    ours = ChannelProduct(nodes, edges, messages, paths)
    free = {"shared_weights": False, "internal_weights": False}
    theirs = o3.TensorProduct(nodes, edges, messages, paths, **free)
    inputs = (
        torch.randn(N_ATOMS, nodes.dim),
        torch.randint(N_ATOMS, (N_EDGES,)),
        torch.randint(N_ATOMS, (N_EDGES,)),
        torch.randn(N_EDGES, edges.dim),
        torch.randn(N_EDGES, ours.n_weights),
    )
    return Case(ours, theirs, inputs)


every_degree = pytest.mark.parametrize(
    "case", [(0, 2), (2, 2), (2, 0)], indirect=True, ids=["0-2", "2-2", "2-0"]
)


def assert_same_as_e3nn(case: Case, product: Callable[..., Tensor]) -> None:
    torch.testing.assert_close(product(*case.inputs), case.expected(), atol=1e-12, rtol=0)


@every_degree
def test_equals_e3nn(case: Case) -> None:
    assert_same_as_e3nn(case, case.ours)


@every_degree
def test_sabotage_a_coupling_a_billionth_off_is_caught(case: Case) -> None:
    entry = int(case.ours.couplings.abs().flatten().argmax())
    case.ours.couplings.view(-1)[entry] *= 1.0 + 1e-9
    with pytest.raises(AssertionError):
        assert_same_as_e3nn(case, case.ours)


@pytest.mark.parametrize("case", [(2, 2)], indirect=True)
def test_sabotage_paths_in_another_order_are_caught(case: Case) -> None:
    case.ours.order = case.ours.order.roll(1)
    with pytest.raises(AssertionError):
        assert_same_as_e3nn(case, case.ours)


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("case", [(0, 2), (2, 2)], indirect=True)
def test_scripted_it_is_the_same(case: Case) -> None:
    assert_same_as_e3nn(case, torch.jit.script(case.ours))


@pytest.mark.parametrize("case", [(2, 2), (2, 0)], indirect=True)
def test_first_and_second_derivatives(case: Case) -> None:
    nodes, senders, receivers, harmonics, weights = case.inputs
    few = slice(0, 3)

    def product(nodes: Tensor, harmonics: Tensor, weights: Tensor) -> Tensor:
        made: Tensor = case.ours(nodes, senders[few], receivers[few], harmonics, weights)
        return made.square().sum()

    inputs = [x.clone().requires_grad_() for x in (nodes, harmonics[few], weights[few])]
    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs)


@pytest.mark.parametrize("case", [(2, 2)], indirect=True)
def test_components_and_irreps_undo_each_other(case: Case) -> None:
    components = case.ours.components(case.inputs[0])
    assert components.shape == (N_ATOMS, 9, CHANNELS)
    for start, degree in ((0, 0), (1, 1), (4, 2)):
        part = components[:, start : start + 2 * degree + 1].transpose(1, 2).flatten(1)
        begin = CHANNELS * start
        torch.testing.assert_close(part, case.inputs[0][:, begin : begin + part.shape[1]])
