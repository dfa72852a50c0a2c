"""report.html at full size: every table of the paper's layout, three seeds, 200 epochs of every training, pictures.

``python -m tests.report.full_page`` makes the page of invented numbers, and prints its size, its elements, and for an
opening in chromium the milliseconds to the laid-out page and the processor's seconds beyond an empty page, medians of
seven. On a machine that has other work, the seconds say more than the milliseconds.
"""

import math
import statistics
import tempfile
from pathlib import Path

from ataka.files.disk import sha256
from ataka.files.records import read_json, write_json, write_rows
from report import catalogue, pictures
from report.html import build
from tests import browser
from tests.report import studies
from tests.report.test_study import train

EPOCHS, OPENINGS = 200, 7
CURVE = '<polyline fill="none" stroke="black" points="{}"/>'
EMPTY = "<!doctype html><html><head><title>Empty</title></head><body></body></html>"


def make(folder: Path) -> Path:
    """The page below ``folder``."""
    study = studies.study(studies.PAPER | {"methods": {}})
    root = studies.root(folder)
    for table in catalogue.every(study)[0]:
        studies.write(root, study, table.name)
    train(root, study)
    for at, path in enumerate(sorted(root.rglob("history.csv"))):
        write_rows(path, [_epoch(at, epoch) for epoch in range(1, EPOCHS + 1)])
        record = path.with_name("run.json")
        write_json(record, read_json(record) | {"history_sha256": sha256(path)})
    for name in pictures.every(study)[0]:
        _draw(root, name)
    return build.write(study, str(root), partial=True)[0]  # no curves of the networks behind some pictures


def _epoch(training: int, epoch: int) -> dict[str, object]:
    learnt = 1 - math.exp(-epoch / 50) + training / 1000
    return {
        "epoch": epoch,
        "loss": f"{2.3 - 2 * learnt / 1.6:.6f}",
        "train_accuracy": f"{40 + 30 * learnt:.4f}",
        "validation_accuracy": f"{40 + 20 * learnt:.4f}",
        "probe": f"{20 + 20 * learnt:.4f}" if epoch % 5 == 0 else "",
    }


def _draw(root: Path, name: str) -> None:
    """A picture as large as the demo's are on average: some 100 kB."""
    svg, caption = (pictures.path(str(root), name, suffix) for suffix in (".svg", ".txt"))
    svg.parent.mkdir(exist_ok=True)
    lines = [[f"{x},{50 + 40 * math.sin(x / (at + 3)):.3f}" for x in range(100)] for at in range(100)]
    curves = [CURVE.format(" ".join(line)) for line in lines]
    svg.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">{"".join(curves)}</svg>')
    caption.write_text(f"{name}.\n", encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = make(Path(folder))
        empty = Path(folder, "empty.html")
        empty.write_text(EMPTY)
        print(f"{page.stat().st_size / 1e6:.2f} MB, {page.read_text(encoding='utf-8').count('data-key='):,} numbers")
        opened, without = ([browser.opening(one) for _ in range(OPENINGS)] for one in (page, empty))
        milliseconds, seconds, elements = map(statistics.median, zip(*opened, strict=True))
        start = statistics.median(used for _, used, _ in without)
        print(f"{elements:,.0f} elements, {milliseconds:.0f} ms, {seconds - start:.2f} s of a processor")


if __name__ == "__main__":
    main()
