"""The stages of a study, one file each: from settings and files to files. The rules call them by their verbs."""

from ataka.stages.choosing import select
from ataka.stages.common import data_file, device_of, load, load_images
from ataka.stages.evaluating import evaluate, wilson
from ataka.stages.measuring import measure_particles
from ataka.stages.preparing import prepare
from ataka.stages.recording import record
from ataka.stages.running import train

__all__ = [
    "data_file",
    "device_of",
    "evaluate",
    "load",
    "load_images",
    "measure_particles",
    "prepare",
    "record",
    "select",
    "train",
    "wilson",
]
