"""The fused operators: compiled once for the processor and the torch that are here, and kept.

Nothing heavy is imported: LAMMPS's plugin looks here too.
"""

import importlib.util
import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from itertools import product
from pathlib import Path

from fisher_mlip.building import (
    LOG_NAME,
    BuildError,
    build_once,
    find_compiler,
    folder_for,
    is_whole,
    processor_flags,
    run_compiler,
)

KIND = "fused"
SOURCE = Path(__file__).parent / "source"
GENERATORS = [Path(__file__).with_name(name) for name in ("couplings.py", "device_sources.py")]
LIBRARY_NAME = "libfisher_mlip_fused.so"
DEGREES, NUMBERS = (1, 2, 3), ("float", "double")
OPTIONS = (
    *("-std=c++20", "-O3", "-fPIC", "-ffp-contract=fast", "-fno-math-errno", "-fopenmp"),
    # A NaN of a user's positions must stay one: no -ffast-math.
    *("-fvisibility=hidden", "-D_GLIBCXX_USE_CXX11_ABI=1"),
)
NATIVE = {"x86_64": "-march=native", "aarch64": "-mcpu=native"}

__all__ = ["BuildError", "build_operators", "built_operators", "operators_path"]


def built_operators() -> Path | None:
    """Return the library of the operators for what is here, None where it is not built.

    Raises:
        BuildError: there is nothing here that it could be for.
    """
    library = operators_path()
    return library if is_whole(library.parent) else None


def operators_path() -> Path:
    """Return where the library for what is here would be, built or not.

    Raises:
        BuildError: there is nothing here that it could be for.
    """
    return _folder(_torch_folder()) / LIBRARY_NAME


def build_operators() -> Path:
    """Return the library, which is compiled if it is not there: a minute or two.

    Raises:
        BuildError: it cannot be built here.
    """
    torch = _torch_folder()
    folder = _folder(torch)

    def make(partial: Path) -> None:
        compiler = find_compiler()
        print(
            "fisher-mlip: compiling the fused operators, once: a minute or two, on a busy machine "
            "several times as long",
            file=sys.stderr,
        )
        _compile(partial, compiler, torch, folder.parent / LOG_NAME)

    build_once(folder, (LIBRARY_NAME,), make, "the fused operators")
    return folder / LIBRARY_NAME


def _torch_folder() -> Path:
    """Return where torch is, without importing it."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        raise BuildError("expected the package torch to be importable, found none")
    return Path(found.submodule_search_locations[0]).resolve()


def _folder(torch: Path) -> Path:
    version = re.search(r"__version__ = '([^']+)'", (torch / "version.py").read_text())
    facts = [
        *OPTIONS,
        *sorted(processor_flags()),
        version.group(1) if version else "",
        torch,
        metadata.version("e3nn"),
        *(path.read_bytes() for path in GENERATORS),
    ]
    return folder_for(KIND, SOURCE, facts)


def _compile(folder: Path, compiler: list[str], torch: Path, log: Path) -> None:
    from fisher_mlip.fused.couplings import HEADER_NAME, couplings_header
    from fisher_mlip.fused.device_sources import DEVICE_HEADER_NAME, device_header

    (folder / HEADER_NAME).write_text(couplings_header(), encoding="utf-8")
    (folder / DEVICE_HEADER_NAME).write_text(device_header(SOURCE, folder), encoding="utf-8")
    native = NATIVE.get(platform.machine())
    options = [*OPTIONS, *([native] if native else []), f"-I{folder}", f"-I{SOURCE}"]
    headers = [torch / "include", torch / "include" / "torch" / "csrc" / "api" / "include"]
    jobs = [
        (f"{kind}-{degree}-{number}", kind, [f"-DLARGEST={degree}", f"-DNUMBER={number}"])
        for degree, kind, number in product(
            sorted(DEGREES, reverse=True), ("layers", "dual_layers"), NUMBERS
        )
    ]
    with_torch = [part for header in headers for part in ("-isystem", str(header))]
    jobs[:0] = [("with_torch", "with_torch", with_torch)]

    def compile_one(job: tuple[str, str, list[str]]) -> str:
        name, source, own = job
        made = folder / f"{name}.o"
        file = str(SOURCE / f"{source}.cpp")
        command = [*compiler, *options, *own, "-c", "-o", str(made), file]
        run_compiler(command, log, "the fused operators")
        return str(made)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        objects = list(pool.map(compile_one, jobs))
    libraries = [
        f"-L{torch / 'lib'}",
        f"-Wl,-rpath,{torch / 'lib'}",
        "-ltorch_cpu",
        "-lc10",
        "-ldl",
    ]
    command = [*compiler, "-shared", "-fopenmp", "-o", str(folder / LIBRARY_NAME), *objects]
    run_compiler([*command, *libraries], log, "the fused operators")
