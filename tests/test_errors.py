"""The name that was meant."""

import pytest

from ataka.errors import unknown


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pdg", "; did you mean 'pgd'?"),
        ("ataka.attacks.pgdd", ", and no such module is on the Python path; did you mean 'ataka.attacks.pgd'?"),
        ("baselines.trads", ", and no such module is on the Python path; did you mean 'baselines.trades'?"),
        ("nowhere.at.all", ", and no such module is on the Python path; known: fgsm, pgd"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(name: str, meant: str) -> None:
    assert unknown(name, ["pgd", "fgsm"]) == meant
