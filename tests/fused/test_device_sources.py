"""The kernels for GPUs compile, by the compiler that torch brings; no GPU is needed for that."""

import ctypes
from pathlib import Path

import pytest
import torch

from fisher_mlip.fused.build import SOURCE
from fisher_mlip.fused.couplings import HEADER_NAME, couplings_header
from fisher_mlip.fused.device_sources import UNITS, device_header, whole_source

ARCHITECTURE = "sm_80"


@pytest.fixture(scope="module")
def compiler() -> ctypes.CDLL:
    """NVRTC as torch's wheels bring it; skip where they do not."""
    places = sorted(Path(torch.__file__).parents[1].glob("nvidia/*/lib/libnvrtc.so.*[0-9]"))
    if not places:
        pytest.skip("torch is here without CUDA's compiler")
    return ctypes.CDLL(str(places[0]))


@pytest.fixture(scope="module")
def couplings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the header of couplings."""
    folder = tmp_path_factory.mktemp("couplings")
    (folder / HEADER_NAME).write_text(couplings_header(), encoding="utf-8")
    return folder


def problem_of(compiler: ctypes.CDLL, source: str, options: list[str]) -> str:
    """Return what the compiler says against a source, "" where it compiles it."""
    words = [
        *(f"--gpu-architecture={ARCHITECTURE}", "--std=c++17"),
        *("--device-as-default-execution-space", *options),
    ]
    array = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
    program = ctypes.c_void_p()
    compiler.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"fused.cu", 0, None, None)
    status = compiler.nvrtcCompileProgram(program, len(words), array)
    size = ctypes.c_size_t()
    compiler.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    compiler.nvrtcGetProgramLog(program, log)
    compiler.nvrtcDestroyProgram(ctypes.byref(program))
    return "" if status == 0 else log.value.decode()


@pytest.mark.parametrize("number", ["float", "double"])
@pytest.mark.parametrize("name", [name for name in UNITS.values() if "messages" not in name])
def test_it_compiles(compiler: ctypes.CDLL, couplings: Path, name: str, number: str) -> None:
    source = whole_source(name, (SOURCE, couplings))
    assert problem_of(compiler, source, [f"-DNUMBER={number}"]) == ""
    broken = source.replace("const", "cnost", 1)
    assert "cnost" in problem_of(compiler, broken, [f"-DNUMBER={number}"])


@pytest.mark.parametrize(("degree_in", "degree_out"), [(0, 0), (0, 2), (2, 2), (2, 0), (1, 1)])
def test_loops_over_edges_compile_for_their_degrees(
    compiler: ctypes.CDLL, couplings: Path, degree_in: int, degree_out: int
) -> None:
    source = whole_source(UNITS["MESSAGES_SOURCE"], (SOURCE, couplings))
    degrees = [f"-DDEGREE_IN={degree_in}", f"-DDEGREE_OUT={degree_out}"]
    assert problem_of(compiler, source, ["-DNUMBER=float", *degrees]) == ""


def test_nothing_of_a_system_is_left(couplings: Path) -> None:
    header = device_header(SOURCE, couplings)
    assert "#include" not in header
    assert header.count("struct Couplings<2, 2>") == 1
    assert all(f"char {constant}[]" in header for constant in UNITS)
