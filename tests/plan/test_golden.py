"""Are the digests those that the last commit stated?"""

import json

from tests.plan import golden


def test_no_digest_changes_unsaid() -> None:
    """The file is the same under every Python version that runs this test."""
    stated, computed = json.loads(golden.FILE.read_text()), golden.golden()
    changed = {
        f"{kind} of {name}"
        for kind in computed
        for name in stated[kind].keys() | computed[kind].keys()
        if stated[kind].get(name) != computed[kind].get(name)
    }
    assert not changed, (
        "these results would be made again. If that is meant: make golden, and say in the commit's message what is "
        "made again and why"
    )


def test_golden_digests_name_one_of_each_kind() -> None:
    digests = golden.golden()
    kinds = {kind: {name.split()[0] for name in digests[kind]} for kind in digests}
    assert kinds["settings"] == {"attack", "data", "particles", "run", "tape"}
    assert kinds["code"] == kinds["settings"] | {"psi"}
