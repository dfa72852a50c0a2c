"""The shards that a cell is joined from: jobs that take the chunks of one attack among them (`shards:` of a scale)."""

from math import ceil

from ataka.errors import UserError
from ataka.plan.artifacts import Cell, Shard
from ataka.study import AttackEntry, Study


def shards_of(study: Study, cell: Cell) -> list[Shard]:
    """The shards of ``cell``, at most one for each chunk; none where one job makes the whole cell."""
    asked = study.shards.get(cell.attack, 1)
    of = min(asked, _chunks(study, cell)) if asked > 1 else 1
    return [Shard(*_names(cell), index, of) for index in range(1, of + 1)] if of > 1 else []


def require_shard(study: Study, shard: Shard) -> None:
    """UserError for a shard of an attack without chunks, and for one that would have none."""
    if study.attack(shard.attack).chunk is None:
        raise UserError(f"{shard.attack} has no shards: its verdicts come without canonical chunks (docs/cluster.md)")
    if not shard.index <= shard.of <= _chunks(study, shard.cell):
        raise UserError(
            f"there is no shard {shard.index} of {shard.of} of {shard.attack}, which attacks {shard.dataset} in "
            f"{_chunks(study, shard.cell)} chunks"
        )


def tested(study: Study, attack: AttackEntry, dataset: str) -> int:
    """The number of test images of ``dataset`` that an attack takes."""
    return attack.images or study.data.test or study.dataset(dataset).specification.images[1]


def images_of(study: Study, shard: Shard) -> range:
    """The places of a shard's images in the test set."""
    attack = study.attack(shard.attack)
    assert attack.chunk is not None
    return shard.images(tested(study, attack, shard.dataset), attack.chunk)


def _chunks(study: Study, cell: Cell) -> int:
    attack = study.attack(cell.attack)
    return ceil(tested(study, attack, cell.dataset) / attack.chunk) if attack.chunk else 1


def _names(cell: Cell) -> tuple[str, str, str, int, str]:
    return cell.dataset, cell.arch, cell.method, cell.seed, cell.attack
