"""The list and the network of an artefact on a GPU by themselves, outside of OpenMM."""

from argparse import Namespace as Options
from collections.abc import Callable
from typing import Any

import torch
from cuda_subjects import artefact_of, box_of
from device_timing import calls, memory, synchronize
from separate_parts import guarded

from fisher_mlip.export.kernel import DifferentiatedKernel, ScriptKernel
from fisher_mlip.fused.loading import why_no_operators
from fisher_mlip.model.checkpoint import load_checkpoint, network_in


def kernel_calls(options: Options) -> None:
    """Time the list and the network by itself, outside of OpenMM."""
    module, arguments = kernel_input(options)
    frame = box_of(options, "box")
    here = {"part": "kernel", "device": str(arguments[1].device)}
    x, box = (
        torch.tensor(value, device=arguments[1].device) for value in (frame.positions, frame.cell)
    )
    guarded(lambda: calls(lambda: module.near_pairs(x, box)), **here, of="list kept")

    def rebuild() -> Any:
        module.listed_positions = x[:0]
        return module.near_pairs(x, box)

    guarded(lambda: calls(rebuild), **here, of="list rebuilt")
    guarded(lambda: same_list(options, rebuild()), **here, of="list against the CPU's")
    network = eager_network(options, arguments[1].device)
    ways = {
        "fused": ScriptKernel(fused_network(options, arguments[1].device)),
        "script": DifferentiatedKernel(module.network),
        "script unoptimized": ScriptKernel(module.network),
        "eager": DifferentiatedKernel(network),
    }
    for of, kernel in ways.items():
        guarded(lambda k=kernel: calls(lambda: k(*arguments)), **here, of=of)
    for of in ("fused", "eager"):
        guarded(lambda k=ways[of]: profiled(lambda: k(*arguments)), **here, of=f"{of}, profiled")
    network.repulsion = None  # its pairs are counted on the host, which no graph can hold
    guarded(lambda: calls(lambda: ways["eager"](*arguments)), **here, of="eager, no repulsion")
    guarded(lambda: graph_calls(ways["eager"], arguments), **here, of="CUDA graph, no repulsion")


def kernel_input(options: Options) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """Return the bound script and the arguments of its kernel for the box, on the device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    frame = box_of(options, "box")
    module = artefact_of(options, "plain-float32").bind(frame.atomic_numbers, periodic=True)
    module = module.to(device)
    x, box = (torch.tensor(value, device=device) for value in (frame.positions, frame.cell))
    vectors, senders, receivers = module.near_pairs(x, box)
    scale = torch.ones((), dtype=torch.float64, device=device)
    return module, (module.species, vectors, senders, receivers, scale)


def eager_network(options: Options, device: torch.device) -> Any:
    """Return the eager float32 network on a device."""
    network = network_in(load_checkpoint(options.work / "plain"), "float32").to(device)
    return network.requires_grad_(False)


def fused_network(options: Options, device: torch.device) -> Any:
    """Return the script of the float32 network over the fused operators, on a device."""
    assert why_no_operators(build=True) == ""
    frame = box_of(options, "box")
    artefact = artefact_of(options, "plain-float32")
    module = artefact.bind(frame.atomic_numbers, periodic=True, kernel="fused")
    return module.to(device).network


def same_list(options: Options, found: Any) -> dict[str, Any]:
    """Return whether the pairs are those that the CPU finds, in the same order."""
    frame = box_of(options, "box")
    module = artefact_of(options, "plain-float32").bind(frame.atomic_numbers, periodic=True)
    expected = module.near_pairs(torch.tensor(frame.positions), torch.tensor(frame.cell))
    same = all(
        torch.equal(mine.cpu(), its) for mine, its in zip(found[1:], expected[1:], strict=True)
    )
    return {"edges": len(expected[0]), "edges_here": len(found[0]), "same": same}


def profiled(call: Callable[[], Any]) -> dict[str, Any]:
    """Return the number of kernels of a call, the GPU's own time, and the dearest of them."""
    from torch.profiler import ProfilerActivity, profile

    call()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        call()
        synchronize()
    on_gpu = [row for row in profiler.key_averages() if "CUDA" in str(row.device_type)]
    dearest = sorted(on_gpu, key=lambda row: -row.self_device_time_total)[:8]
    return {
        "kernels": sum(row.count for row in on_gpu),
        "gpu_ms": round(sum(row.self_device_time_total for row in on_gpu) * 1e-3, 3),
        "dearest_ms": {
            row.key[:60]: round(row.self_device_time_total * 1e-3, 3) for row in dearest
        },
    }


def graph_calls(kernel: Any, arguments: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """Return the milliseconds of a replay of the kernel as a CUDA graph of fixed edges."""
    expected = kernel(*arguments)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            kernel(*arguments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = kernel(*arguments)
    found = calls(graph.replay)
    difference = float((made[1] - expected[1]).abs().max())
    return {**found, "slope_difference": difference, **memory()}


def compiled_calls(options: Options) -> None:
    """Time the network compiled by torch, for edges of a fixed number."""
    _, arguments = kernel_input(options)
    network = eager_network(options, arguments[1].device)
    network.repulsion = None
    expected = DifferentiatedKernel(network)(*arguments)
    for mode in ("reduce-overhead", "default"):
        kernel = DifferentiatedKernel(network)
        kernel.network = torch.compile(network, mode=mode, dynamic=False)

        def measured(kernel: Any = kernel) -> dict[str, Any]:
            slopes = kernel(*arguments)[1].clone()
            difference = float((slopes - expected[1]).abs().max())
            return {**calls(lambda: kernel(*arguments)), "slope_difference": difference, **memory()}

        guarded(measured, part="compiled", device=str(arguments[1].device), mode=mode)
