"""prepare: cut a data set's splits, once for all jobs."""

from ataka import datasets, plan
from ataka.datasets import splits
from ataka.files.prepared import save_splits
from ataka.machine.meter import Meter
from ataka.stages.common import write_cost, writing
from ataka.study import Study


def prepare(study: Study, root: str, dataset: str, part: str) -> None:
    """Cut a data set's ``part`` and write it for all jobs: train with validation, or test."""
    settings, meter = study.data, Meter()
    cut = splits.cut(
        dataset,
        study.dataset(dataset).load(datasets.archive_folder(settings.folder)),
        train=settings.train,
        validation=settings.validation,
        test=settings.test,
        split_seed=settings.split_seed,
    )
    names = ("train", "validation") if part == "train" else ("test",)
    about = plan.data_settings(study, dataset, part)
    path = plan.data_file(root, dataset, part)
    with writing(path.parent, part):
        save_splits(path, {name: cut[name] for name in names}, about)
        write_cost(path, meter.read())
