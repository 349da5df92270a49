"""Graphs drawn: nothing overlaps, every name is escaped, and a process shows its states."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyworkflow.graph import (
    ActivityTask,
    Drawing,
    LambdaTask,
    PassTask,
    SignalTask,
    StepStatus,
    TimerTask,
    Workflow,
    WorkflowTask,
)
from pyworkflow.graph.colours import FILL, LINE
from pyworkflow.graph.layout import laid_out
from tests.graph_kit import Simulation, tasks

SVG = "{http://www.w3.org/2000/svg}"


def every_kind() -> Workflow:
    graph = Workflow("Every <kind>")
    a = graph.add(ActivityTask("a", "work", depends_on=[graph.start_task], num_retries=1))
    b = graph.add(LambdaTask("b", "f", depends_on=[a], for_each=a, concurrency=2))
    c = graph.add(WorkflowTask("c", "Child", depends_on=[a], when=bool))
    d = graph.add(SignalTask("d", depends_on=[a], title="The boss's OK"))
    e = graph.add(TimerTask("e", 604_800, depends_on=[d]))
    f = graph.add(PassTask("f", depends_on=[b, c], join="any"))
    graph.add(ActivityTask("g", depends_on=[e, f, a], join="race", repeat_until=bool))
    graph.add(ActivityTask("h", depends_on=[b], after="failure"))
    return graph


def test_mermaid_shows_the_kind_of_each_step_and_what_it_follows() -> None:
    lines = every_kind().to_mermaid().splitlines()

    assert lines[0] == "flowchart TD"
    assert lines[1:] == [
        '    s0(["start"])',
        '    s1["a<br/>work<br/>up to 2 attempts"]',
        '    s2["b<br/>λ f<br/>for each, 2 at a time"]',
        '    s3[["c<br/>Child<br/>if …"]]',
        '    s4>"The boss\'s OK<br/>signal d"]',
        '    s5("e<br/>7 d")',
        '    s6(("f<br/>any of these"))',
        '    s7["g<br/>repeated<br/>the first of these"]',
        '    s8["h"]',
        "    s0 --> s1",
        "    s1 --> s2",
        "    s1 --> s3",
        "    s1 --> s4",
        "    s4 --> s5",
        "    s2 --> s6",
        "    s3 --> s6",
        "    s5 --> s7",
        "    s6 --> s7",
        "    s1 --> s7",
        '    s2 -.->|"on failure"| s8',
    ]


def running() -> Simulation:
    process = Simulation(tasks(("a", []), ("b", ["a"]), ("c", ["a"]), ("d", ["b", "c"])))
    process.settle()
    process.complete("a")
    process.settle()
    process.fail("b", "<boom>")
    return process


def test_a_process_is_drawn_with_the_state_of_each_step() -> None:
    process = running()
    mermaid = process.graph.to_mermaid(process.process)

    assert re.findall(r'"(\w)<br/>.*"]:::(\w+)', mermaid) == [
        ("a", "completed"),
        ("b", "failed"),
        ("c", "running"),
        ("d", "waiting"),
    ]
    assert "    s0 --> s1" in mermaid
    assert "    s1 -.-> s3" in mermaid
    assert "classDef failed fill:" in mermaid
    dot = process.graph.to_dot(process.process)
    assert '"b" [label="b\\nfailed", shape=box, fillcolor="#ffebe9", color="#cf222e"' in dot
    assert 'tooltip="<boom>"' in dot
    assert '    "b" -> "d" [style=dashed]' in dot


def test_every_state_has_its_colours() -> None:
    assert set(FILL) == set(LINE) == set(StepStatus)


def test_an_outline_has_a_line_for_each_step_after_those_that_it_follows() -> None:
    graph = Workflow("Report")
    graph.add(ActivityTask("sum", "add", depends_on=["one", "two"], num_retries=2))
    graph.add(ActivityTask("one", "read"))
    graph.add(ActivityTask("two"))

    assert graph.to_text().splitlines() == [
        "one    read",
        "two",
        "  sum  add, up to 3 attempts  <- one, two",
    ]


def test_dot_shows_shapes_and_labels() -> None:
    dot = every_kind().to_dot()

    assert dot.startswith('digraph "Every <kind>" {')
    assert '"c" [label="c\\nChild\\nif …", shape=box3d]' in dot
    assert '"b" -> "h" [label="on failure", style=dashed]' in dot
    assert dot.count("{") == dot.count("}") == 1


@pytest.mark.parametrize("name", ['say "hi"', "a\\b", "<b>&amp;", "#35;", "[x](y)`z`", "ünïcode"])
def test_names_are_escaped(name: str) -> None:
    graph = tasks((name, []), ("next", [name]))

    texts = [text.text for text in svg_of(graph).iter(f"{SVG}text")]
    assert name in texts
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)" \[', graph.to_dot())
    assert quoted[0].replace('\\"', '"').replace("\\\\", "\\") == name
    [label] = re.findall(r's0\["(.*)"\]', graph.to_mermaid())
    assert re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label) == name
    assert not set(label) & set('"<>`[]&')


def svg_of(graph: Workflow) -> ElementTree.Element:
    return ElementTree.fromstring(graph.to_svg())


def test_an_svg_has_a_box_for_each_step_within_its_bounds_and_none_overlap() -> None:
    image = svg_of(every_kind())
    left, top, width, height = map(float, image.attrib["viewBox"].split())
    boxes = [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        for rect in image.iter(f"{SVG}rect")
    ]

    assert len(boxes) == 9
    for x, y, w, h in boxes:
        assert left <= x
        assert x + w <= left + width
        assert top <= y
        assert y + h <= top + height
    for one in boxes:
        for other in boxes:
            apart = (
                one[0] + one[2] <= other[0]
                or other[0] + other[2] <= one[0]
                or one[1] + one[3] <= other[1]
                or other[1] + other[3] <= one[1]
            )
            assert one == other or apart
    assert len(list(image.iter(f"{SVG}path"))) == 11 + 1  # and the head of an arrow


def test_a_long_name_is_cut_and_told_in_full() -> None:
    name = "x" * 90
    image = svg_of(tasks((name, [])))

    assert [text.text for text in image.iter(f"{SVG}text")] == ["x" * 39 + "…"]
    assert name in [title.text for title in image.iter(f"{SVG}title")]


def test_an_empty_graph_can_be_drawn() -> None:
    assert svg_of(Workflow("w")).attrib["width"]
    assert Workflow("w").to_mermaid() == "flowchart TD\n"


def test_notebooks_show_graphs_and_processes() -> None:
    process = running()

    assert every_kind()._repr_html_() == every_kind().to_svg()
    shown = Drawing(process.graph, process.process)
    assert shown._repr_html_() == process.graph.to_svg(process.process)
    assert "failed" in shown._repr_html_()


# -- layout -------------------------------------------------------------------------------------------------------------------------


def test_what_follows_stands_below_and_in_the_middle() -> None:
    arrows = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")]
    layout = laid_out(dict.fromkeys("abcd", 50.0), arrows, 10)

    assert layout.layers[0] == ["a"]
    assert set(layout.layers[1]) >= {"b", "c"}
    assert layout.layers[2] == ["d"]
    assert len(layout.paths["a", "d"]) == 3
    places = sorted(layout.x[name] for name in layout.layers[1])
    assert layout.x["a"] == pytest.approx(layout.x["d"])
    assert places[0] < layout.x["a"] < places[-1]


def test_arrows_do_not_cross_where_they_need_not() -> None:
    arrows = [("a", "z"), ("b", "y"), ("c", "x")]
    layout = laid_out(dict.fromkeys("abcxyz", 50.0), arrows, 10)

    assert [dict(arrows)[name] for name in layout.layers[0]] == layout.layers[1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40))
def test_layouts_keep_their_distances(pairs: list[tuple[int, int]]) -> None:
    arrows = [(f"n{min(pair)}", f"n{max(pair)}") for pair in pairs if pair[0] != pair[1]]
    widths = {f"n{number}": 20.0 + 10 * number for number in range(15)}
    layout = laid_out(widths, arrows, 7)

    level = {name: index for index, layer in enumerate(layout.layers) for name in layer}
    for layer in layout.layers:
        for one, other in pairwise(layer):
            apart = (widths.get(one, 0) + widths.get(other, 0)) / 2 + 7
            assert layout.x[other] - layout.x[one] >= apart - 1e-6
    for (source, target), path in layout.paths.items():
        assert [path[0], path[-1]] == [source, target]
        assert all(level[b] == level[a] + 1 for a, b in pairwise(path))
