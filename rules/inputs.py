"""The files that each rule reads. Nothing is decided here: ataka.plan and report know."""

from collections.abc import Iterable
from pathlib import Path

from ataka import plan
from ataka.plan import Cell, Node, Particles, Run, Shard, Tape
from report import evidence, pictures, union
from report.claims import sentences
from report.sources import Source
from rules.mistakes import mistakes_stop
from rules.scales import Scales, Wildcards, node_of
from rules.unrecorded import Unrecorded


class RuleInputs:
    """Each method is the input function of a rule: wildcards to paths."""

    def __init__(self, scales: Scales, unrecorded: Unrecorded) -> None:
        self._scales, self._unrecorded = scales, unrecorded

    @mistakes_stop()
    def nothing(self, wildcards: Wildcards) -> list[str]:
        """No file: a data set's archive is none of the workflow's."""
        self._unrecorded.check("prepare", wildcards)
        return []

    @mistakes_stop()
    def made_from(self, wildcards: Wildcards) -> list[str]:
        """Members of an average, a student's tape or teachers; the choice of alpha, or the images to choose by."""
        study, node = self._scales.study(wildcards), node_of(wildcards)
        assert isinstance(node, Tape | Run)
        self._unrecorded.check("record" if isinstance(node, Tape) else "train", wildcards)
        paths = _files(plan.needs(study, node), wildcards.root)
        if isinstance(node, Tape):
            return paths
        plan.parse(node.model(wildcards.root))  # refuses another name of it, such as alpha0.50
        plan.require_known(study, node)
        method = study.method(node.method)
        if plan.tuned(method) and not node.part:
            paths.append(str(node.choice(wildcards.root)))
        if method.member == "chosen":
            paths.append(self.selection_data(wildcards))
        return paths

    @mistakes_stop()
    def network(self, wildcards: Wildcards) -> str:
        """The network that is attacked or measured; a misspelt attack is refused here, before its network trains."""
        study, node = self._scales.study(wildcards), node_of(wildcards)
        assert isinstance(node, Cell | Shard | Particles)
        if not isinstance(node, Cell):  # the names of a cell are those of its run, whose settings are asked for once
            plan.require_known(study, node)
        self._scales.settings(wildcards, node)
        self._unrecorded.check("particles" if isinstance(node, Particles) else "evaluate", wildcards)
        return str(node.run.model(wildcards.root))

    @mistakes_stop()
    def candidates(self, wildcards: Wildcards) -> list[str]:
        """The trained candidates of alpha, of the first seed."""
        study = self._scales.study(wildcards)
        run = Run(wildcards.dataset, wildcards.arch, wildcards.method, study.seeds[0])
        self._unrecorded.check("select", wildcards)
        return _files(plan.candidates(study, run), wildcards.root)

    @mistakes_stop()
    def selection_data(self, wildcards: Wildcards) -> str:
        """The prepared images by which an alpha is chosen."""
        split = self._scales.study(wildcards).selection_of(wildcards.method).split
        part = "test" if split == "test" else "train"
        return f"{wildcards.root}/data/{wildcards.dataset}/{part}.safetensors"

    @mistakes_stop()
    def sources(self, wildcards: Wildcards) -> list[str]:
        """The measurements that a table collects: cells, or those of particles."""
        self._unrecorded.conclude(f"{wildcards.root}/{wildcards.table}.csv")
        sources = self._scales.table(wildcards).sources(self._scales.study(wildcards))
        return [str(source.csv(wildcards.root)) for source in sources]

    @mistakes_stop()
    def choices(self, wildcards: Wildcards) -> list[str]:
        """The choices of alpha behind a table."""
        runs = self._scales.table(wildcards).tuned_runs(self._scales.study(wildcards))
        return [str(run.choice(wildcards.root)) for run in runs]

    @mistakes_stop()
    def records(self, wildcards: Wildcards) -> list[str]:
        """The records of trainings that a table shows or checks."""
        table, study = self._scales.table(wildcards), self._scales.study(wildcards)
        return [str(Path(wildcards.root, path)) for path in table.records(study, table.sources(study))]

    def collected(self, wildcards: Wildcards) -> list[str]:
        """The measurements of a table, the choices of alpha behind the table, and the records of its trainings."""
        return self.sources(wildcards) + self.choices(wildcards) + self.records(wildcards)

    @mistakes_stop()
    def union(self, wildcards: Wildcards) -> list[str]:
        """The cells of every table, and their bits."""
        self._unrecorded.conclude(f"{wildcards.root}/union.csv")
        return _evidence(union.sources(self._scales.study(wildcards)), wildcards.root)

    @mistakes_stop()
    def claims(self, wildcards: Wildcards) -> list[str]:
        """The cells, their bits and the particles that the claims compare."""
        self._unrecorded.conclude(f"{wildcards.root}/claims.csv")
        return _evidence(sentences.sources(self._scales.study(wildcards), sentences.load()), wildcards.root)

    @mistakes_stop()
    def picture(self, wildcards: Wildcards) -> list[str]:
        """The files that a picture is drawn from."""
        files = pictures.files(self._scales.study(wildcards), wildcards.root, wildcards.picture)
        return [str(path) for path in files]

    @mistakes_stop()
    def gallery(self, wildcards: Wildcards) -> list[str]:
        """Every picture that the scale has data for, and its caption."""
        drawn, _ = pictures.every(self._scales.study(wildcards))
        suffixes = (pictures.SUFFIXES[0], pictures.SUFFIXES[-1])
        return [str(pictures.path(wildcards.root, name, suffix)) for name in drawn for suffix in suffixes]

    @mistakes_stop()
    def html(self, wildcards: Wildcards) -> list[str]:
        """The collections of the tables that the scale can make, and its pictures.

        The page also reads what the tables come from.
        """
        names = [table.name for table in self._scales.every_table(wildcards)]
        collections = [f"{wildcards.root}/{name}{suffix}" for name in names for suffix in (".csv", ".choices.csv")]
        return collections + self.gallery(wildcards)

    @mistakes_stop()
    def all_tables(self, wildcards: Wildcards) -> list[str]:
        """The tables that the scale can make."""
        return [f"{wildcards.root}/{table.name}.tex" for table in self._scales.every_table(wildcards)]


def _files(nodes: Iterable[Node], root: str) -> list[str]:
    return [str(plan.file_of(node, root)) for node in nodes]


def _evidence(sources: Iterable[Source], root: str) -> list[str]:
    return [str(path) for source in sources for path in evidence.files(root, source)]
