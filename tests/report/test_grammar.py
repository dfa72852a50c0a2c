"""Do sentences count as a person does?"""

import pytest

from report.grammar import counted, plural


@pytest.mark.parametrize(("count", "text"), [(0, "0 checks"), (1, "1 check"), (2, "2 checks"), (1200, "1,200 checks")])
def test_one_is_no_plural(count: int, text: str) -> None:
    assert counted(count, "check") == text


def test_half_a_point_is_some_points() -> None:
    assert [plural(margin, "point") for margin in (0.5, 1.0, 2.0)] == ["points", "point", "points"]
