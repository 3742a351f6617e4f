"""Force error against time per step: trained models of ours beside NequIP's and MACE's.

    python scripts/benchmark_pareto.py trained.jsonl --output pareto.json --plot pareto.png

`trained.jsonl` has the lines of `benchmark_training.py --output FOLDER --json trained.jsonl`, whose
models are in FOLDER still. Each is timed as `benchmark_speed.py` does, by each of its routes and
with each allocator, in the same run; ours is exported first, with its head and without. A JSON line
for each model: errors over the test frames, what training took, µs per atom and step, and
`on_front`: whether no model is as fast, by its fastest route, and better.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmark_speed import (
    ALLOCATORS,
    OUR_ROUTES,
    Line,
    Measurement,
    conditions,
    liquid_box,
    measure,
    of_ours,
    of_peer,
    show,
)
from peer_environments import PEERS

from fisher_mlip.export import write_artefact
from fisher_mlip.figures import COLORS, figure
from fisher_mlip.model import load_checkpoint
from fisher_mlip.products import whole_file

KEPT = (
    *("who", "preset", "versions", "frames", "network", "cutoff", "batch_size", "epochs"),
    *("parameters", "training_seconds"),
    *("process_seconds", "process_processor_seconds", "settings"),
)


def main() -> None:
    """Time, print, draw and write."""
    options = parse_options()
    box = liquid_box(options.molecules)
    points = []
    for trained in options.trained:
        for text in trained.read_text(encoding="utf-8").splitlines():
            for point in points_of(json.loads(text), options, box):
                points.append(point)
                print(json.dumps(point), flush=True)
    for point in points:
        point["on_front"] = not any(is_better(other, point) for other in points)
    result = {**conditions(box), "threads": options.threads, "points": points}
    if options.output:
        with whole_file(options.output) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n")
    if options.plot:
        draw(points, options.plot)


def points_of(line: Line, options: argparse.Namespace, box: Path) -> Iterator[Line]:
    """Yield the points of a trained model: ours has one without its head, and one with it."""
    if "error" in line:
        show(f"{line['who']} is left out: {line['error']}")
        return
    known = {key: line[key] for key in KEPT if key in line}
    model = Path(line["model"])
    if line["who"] != "ours":
        yield known | timed(line["test"], peers(line, model, options), options, box)
        return
    heads = {"base": line["test_without_head"], model.name: line["test"]}
    for name, errors in heads.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "artefact"
            folder.mkdir()
            write_artefact(folder, load_checkpoint(model.with_name(name)), "float32")
            routes = [of_ours(folder, route) for route in OUR_ROUTES]
            head = name == model.name
            yield known | {"head": head} | timed(errors, routes, options, box)


def peers(line: Line, model: Path, options: argparse.Namespace) -> list[Measurement]:
    """Return what measures a peer's trained model, a way that cannot be prepared left out."""
    peer = PEERS[line["who"]]
    found = []
    for route in (route for route in peer.routes if route in options.peer_routes):
        try:
            found.append(of_peer(peer, route, line["cutoff"], options.threads, model))
        except RuntimeError as error:
            show(f"{peer.name}, {route} is left out: {error}")
    return found


def timed(errors: Line, routes: list[Measurement], options: argparse.Namespace, box: Path) -> Line:
    """Return the errors beside the times by route and allocator, and the least of these."""
    times: Line = {}
    for route in routes:
        for allocator in options.allocators:
            found = measure(route, options, box, allocator)
            say = found.get("us_per_atom_step", {"error": found.get("error")})
            times[f"{route.route}, {allocator}"] = say | {"load": found["load"]}
    medians = {way: time["median"] for way, time in times.items() if "median" in time}
    fastest = min(medians, key=lambda way: medians[way], default=None)
    return {
        **errors,
        "us_per_atom_step": times,
        "fastest": fastest,
        "fastest_us": medians.get(fastest) if fastest else None,
    }


def is_better(one: Line, other: Line) -> bool:
    """Return whether a model of the same frames is as fast and as accurate, and more so in one."""
    if one["frames"] != other["frames"]:
        return False
    if one["fastest_us"] is None or other["fastest_us"] is None:
        return False
    ours, theirs = ((point["fastest_us"], point["force_mae_meV_A"]) for point in (one, other))
    return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]


def draw(points: list[Line], path: Path) -> None:
    """Write the picture: one mark for each model, a line along the front."""
    looks = {"ours": ("o", COLORS[0]), "nequip": ("s", COLORS[1]), "mace": ("^", COLORS[2])}
    names = {"ours": "fisher-mlip", "nequip": "NequIP 0.19.1", "mace": "MACE 0.3.16"}
    shown = [point for point in points if point["fastest_us"]]
    with whole_file(path) as partial, figure(partial) as (axes,):
        front = sorted((p["fastest_us"], p["force_mae_meV_A"]) for p in shown if p["on_front"])
        axes.plot(*zip(*front, strict=True), color=COLORS[6], linewidth=1.0)
        for who, (marker, color) in looks.items():
            for filled in (True, False):
                own = [p for p in shown if p["who"] == who and p.get("head", True) == filled]
                if not own:
                    continue
                x, y = zip(*((p["fastest_us"], p["force_mae_meV_A"]) for p in own), strict=True)
                label = names[who] + ("" if filled else ", without head")
                face = color if filled else "none"
                axes.scatter(x, y, marker=marker, color=color, facecolors=face, label=label)
        # A factor of a hundred between them: an even axis would put half of them on one line.
        axes.set(xscale="log", ylim=(0.0, None))
        axes.set(xlabel="µs per atom and step, 2 cores", ylabel="test force MAE / (meV/Å)")
        axes.legend()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trained", type=Path, nargs="+", help="lines of benchmark_training.py")
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--allocators", nargs="+", default=["tuned"], choices=tuple(ALLOCATORS))
    routes = sorted({route for peer in PEERS.values() for route in peer.routes})
    parser.add_argument("--peer-routes", nargs="+", default=routes, choices=routes)
    parser.add_argument("--output", type=Path, help="JSON file of all points")
    parser.add_argument("--plot", type=Path, help="PNG file of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
