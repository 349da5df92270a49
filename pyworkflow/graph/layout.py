"""Places for boxes: in layers from top to bottom, with few crossings and short arrows.

The usual three steps. Each box is put one layer below the lowest that it follows; an arrow that passes layers is given a place in each of
them. The order within a layer follows the mean place of the neighbours, downwards and upwards in turn. Last, each is moved as near to its
neighbours as the order and the widths allow, which is a regression with ordered values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 8
"""Passes downwards and upwards. More change little."""


@dataclass(frozen=True)
class Layout:
    """Where everything goes.

    Attributes:
        layers: Boxes and passing places from left to right, from top to bottom.
        x: The middle of each.
        paths: For each arrow, what it passes, its two boxes included.
    """

    layers: Sequence[Sequence[str]]
    x: Mapping[str, float]
    paths: Mapping[tuple[str, str], Sequence[str]]


def laid_out(widths: Mapping[str, float], arrows: Iterable[tuple[str, str]], gap: float) -> Layout:
    """Return a layout.

    Args:
        widths: Of each box, by name.
        arrows: From and to, without cycles.
        gap: Between two neighbours of a layer, at least.
    """
    arrows = list(dict.fromkeys(arrows))
    depth = depths(widths, arrows)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in widths:
        layers[depth[name]].append(name)
    paths = {arrow: _path(arrow, depth, layers) for arrow in arrows}
    above: dict[str, list[str]] = {name: [] for layer in layers for name in layer}
    below: dict[str, list[str]] = {name: [] for layer in layers for name in layer}
    for path in paths.values():
        for upper, lower in pairwise(path):
            above[lower].append(upper)
            below[upper].append(lower)
    for _ in range(SWEEPS):
        _order(layers[1:], layers, above)
        _order(layers[-2::-1], layers, below)
    return Layout(layers, _places(layers, widths, above, below, gap), paths)


def depths(names: Iterable[str], arrows: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the layer of each box: below all that it follows."""
    depth = dict.fromkeys(names, 0)
    waiting = dict.fromkeys(depth, 0)
    followers: dict[str, list[str]] = {name: [] for name in depth}
    for source, target in arrows:
        waiting[target] += 1
        followers[source].append(target)
    free = [name for name, count in waiting.items() if not count]
    for name in free:
        for follower in followers[name]:
            depth[follower] = max(depth[follower], depth[name] + 1)
            waiting[follower] -= 1
            if not waiting[follower]:
                free.append(follower)
    return depth


def _path(arrow: tuple[str, str], depth: Mapping[str, int], layers: list[list[str]]) -> list[str]:
    source, target = arrow
    passed: list[str] = []
    for layer in range(depth[source] + 1, depth[target]):
        # No step has a line break in its name.
        place = f"{source}\n{target}\n{layer}"
        layers[layer].append(place)
        passed.append(place)
    return [source, *passed, target]


def _order(
    sweep: Iterable[list[str]], layers: list[list[str]], neighbours: Mapping[str, list[str]]
) -> None:
    place = {name: index for layer in layers for index, name in enumerate(layer)}
    for layer in sweep:
        means = {
            name: sum(place[n] for n in neighbours[name]) / len(neighbours[name])
            if neighbours[name]
            else place[name]
            for name in layer
        }
        layer.sort(key=means.__getitem__)
        place.update((name, index) for index, name in enumerate(layer))


def _places(
    layers: Sequence[Sequence[str]],
    widths: Mapping[str, float],
    above: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
    gap: float,
) -> dict[str, float]:
    x: dict[str, float] = {}
    for layer in layers:
        _place(layer, dict.fromkeys(layer, 0.0), widths, gap, x)
    for _ in range(SWEEPS):
        for sweep, neighbours in ((layers[1:], above), (layers[-2::-1], below)):
            for layer in sweep:
                wanted = {
                    name: sum(x[n] for n in neighbours[name]) / len(neighbours[name])
                    if neighbours[name]
                    else x[name]
                    for name in layer
                }
                _place(layer, wanted, widths, gap, x)
    return x


def _place(
    layer: Sequence[str],
    wanted: Mapping[str, float],
    widths: Mapping[str, float],
    gap: float,
    x: dict[str, float],
) -> None:
    """Put a layer as near to the wanted places as its order and the widths allow, by least squares."""
    offset, offsets = 0.0, list[float]()
    for index, name in enumerate(layer):
        if index:
            halves = (widths.get(layer[index - 1], 0) + widths.get(name, 0)) / 2
            offset += halves + gap
        offsets.append(offset)
    # Without the offsets, the places only have to ascend: neighbours that do not are pooled.
    pools: list[tuple[float, int]] = []
    for name, shift in zip(layer, offsets, strict=True):
        total, count = wanted[name] - shift, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    means = [total / count for total, count in pools for _ in range(count)]
    for name, mean, shift in zip(layer, means, offsets, strict=True):
        x[name] = mean + shift
