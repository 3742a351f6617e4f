"""The figures as lines of text."""

from fisher_mlip.bench.result import REST, Bench
from fisher_mlip.bench.rules import sentences

_WIDTHS = (22, 11, 20, 8)


def lines_of(bench: Bench) -> list[str]:
    """Return what is printed: what ran, the table, speeds, what to change."""
    return [
        *_conditions(bench),
        "",
        *_table(bench),
        "",
        f"{bench.us_per_atom:.3g} µs per atom and step, {bench.ns_per_day:.3g} ns/day "
        f"({bench.config.steps} steps timed)",
        "",
        "what to change",
        *(f"  {sentence}" for sentence in sentences(bench)),
    ]


def _conditions(bench: Bench) -> list[str]:
    system, machine = bench.system, bench.machine
    pairs = ""
    if system.edges is not None:
        pairs = f", {system.edges} edges within {system.cutoff:g} Å ({system.listed} in the list)"
    if system.own is not None and system.ghosts is not None:
        pairs = f", {system.own:.0f} on a rank, with {system.ghosts:.0f} ghosts"
    reason = f": {system.reason}" if system.reason else ""
    threads = f"{machine.threads} thread" + ("s" if machine.threads > 1 else "")
    blocks = "kept" if machine.keeps_large_blocks else "given back: not glibc's allocator"
    return [
        f"{system.atoms} atoms{pairs}; {system.dtype}, {system.platform}, {system.how}{reason}",
        f"{threads}, {machine.cores} cores, load {machine.load:.1f} before, waiting "
        f"{machine.wait_policy}; large blocks {blocks}; {machine.cpu}",
    ]


def _table(bench: Bench) -> list[str]:
    spread = "ranks" if bench.config.engine == "lammps" else "quartiles"
    rows = [_row("", "ms per step", spread, "share", "")]
    for part in bench.parts:
        name = f"  of it {part.name}" if part.of else part.name
        time = part.time
        between = f"{time.lower:.3g} to {time.upper:.3g}"
        share = f"{bench.share(time.median):.1f} %"
        rows.append(_row(name, f"{time.median:.3g}", between, share, part.note))
    rest = "the parts, timed apart, take longer than the whole" if bench.rest < 0 else ""
    rows.append(_row(REST, f"{bench.rest:.3g}", "", f"{bench.share(bench.rest):.1f} %", rest))
    total = bench.total
    between = "" if total.lower == total.upper else f"{total.lower:.3g} to {total.upper:.3g}"
    rows.append(_row("a step of the run", f"{total.median:.3g}", between, "100.0 %", ""))
    return rows


def _row(name: str, ms: str, between: str, share: str, note: str) -> str:
    first, second, third, fourth = _WIDTHS
    return f"{name:<{first}}{ms:>{second}}{between:>{third}}{share:>{fourth}}  {note}".rstrip()
