"""prepare: cut a data set's splits, once for all jobs."""

from ataka import data, plan, store
from ataka.stages.common import data_file, writing
from ataka.study import Study


def prepare(study: Study, root: str, dataset: str, part: str) -> None:
    """Cut a data set's ``part`` and write it for all jobs: train with validation, or test."""
    settings = study.data
    splits = data.split(
        dataset,
        settings.folder,
        train=settings.train,
        validation=settings.validation,
        test=settings.test,
        split_seed=settings.split_seed,
    )
    names = ("train", "validation") if part == "train" else ("test",)
    about = plan.data_settings(study, dataset, part)
    path = data_file(root, dataset, part)
    with writing(path.parent, part):
        store.save_splits(path, {name: splits[name] for name in names}, about)
