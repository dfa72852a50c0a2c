"""What a GPU gives: the same answers first, then images a second and the share of the card's peak.

Plain is eager float32, contiguous, without TF32; fast has the study's speed switches and, in trainings, bfloat16, the
networks compiled where a line says so. Operations are counted, and their share of the peak is that of the best bfloat16
matrix product of the same run. After eight minutes it begins no further measurement. In the run on record, evaluations
still had channels_last in float32, which made them slower and which GPUs no longer get; AutoAttack was the whole
standard version; WRN-70-16 was not reached.

    python -m bench.gpu                 at most eight minutes on one H100 or H200; writes docs/performance/gpu.csv
    python -m bench.gpu --tiny          seconds, on whatever there is, also a CPU: does it run?

It needs torch 2.11 or newer, numpy, pydantic, pyyaml, safetensors, rich, filelock and pyautoattack.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ataka import datasets, evaluation, models, training
from ataka.attacks import acceleration
from ataka.attacks.acceleration import OFF, Switches, switched
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.files.resume import States
from ataka.machine import memory
from ataka.machine.progress import Progress
from ataka.models.operations import multiply_accumulates
from ataka.objectives.teachers import Teachers
from ataka.study import Generator, Setup
from ataka.study.setups import Precision
from ataka.training import Batch
from ataka.training import precision as precision_of_training
from baselines.natural import Natural
from bench.networks import FAST
from bench.timing import FOLDER

LIMIT = 480.0
"""Seconds, after which what is left is named and not measured."""
Measurement = Callable[[], "Iterator[Line]"]


@dataclass(frozen=True)
class Line:
    """One result. ``plain`` is the same of eager float32, contiguous; ``peak`` the share of the bfloat16 peak."""

    kind: str
    name: str
    value: str
    unit: str
    plain: str = ""
    peak: str = ""
    note: str = ""


class Sizes:
    """The networks and sizes to measure: the paper's, or the smallest that run everywhere."""

    def __init__(self, *, tiny: bool, limit: float = LIMIT) -> None:
        self.tiny, self.limit = tiny, limit
        self.teachers = [("wrn10-1", 4)] if tiny else [("wrn34-10", 128), ("wrn70-16", 16)]
        self.students = [("resnet10-w8", 4)] if tiny else [("resnet18", 512), ("mobilenetv2", 512)]
        self.small, self.images = "resnet10-w8", 16 if tiny else 1000
        self.steps, self.epochs, self.matrix = (2, 2, 64) if tiny else (20, 3, 8192)
        self.shortened = (2, 2, 2) if tiny else (20, 3, 1000)
        self.side, self.chunk = (8, 4) if tiny else (32, 128)


class Bench:
    """The measurements of one device, in order; correctness comes first."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.peak = 0.0
        self.facts = datasets.find("cifar10").specification
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.deterministic = True  # these three as in every job

    def lines(self) -> Iterator[Line]:
        """All that fits into the limit."""
        measurements: list[Measurement] = [
            self.verdicts,
            self.same_bits_twice,
            self.resume,
            self.out_of_memory,
            self.two_jobs,
            self.matrix_product,
            *(partial(self.recording, *teacher) for teacher in self.sizes.teachers),
            *(partial(self.replay, *student) for student in self.sizes.students),
            self.pgd,
            self.autoattack,
        ]
        began = time.monotonic()
        for measurement in measurements:
            name = getattr(measurement, "__name__", "") or getattr(measurement, "func", measurement).__name__
            if time.monotonic() - began > self.sizes.limit:
                yield Line("left out", name, "", "", note="the time was over")
                continue
            try:
                yield from measurement()
            except (RuntimeError, ValueError, UserError) as error:  # one that fails leaves the others
                kind = "left out" if isinstance(error, UserError) else "failed"  # as where there is no compiler
                yield Line(kind, name, "", "", note=" ".join(str(error).split())[:300])

    # ---- correctness

    def verdicts(self) -> Iterator[Line]:
        """PGD's verdicts of a network trained here, on this device and on the CPU."""
        network, split = self._trained(self.device), self._split(self.sizes.images)
        attack: dict[str, object] = {"kind": "pgd", "images": None, "eps": "1/255", "step_size": "0.25/255"}
        attack |= {"steps": 10, "clamp_start": False}
        verdicts = {}
        for device in (self.device, torch.device("cpu")):
            there = Split(split.images.to(device), split.labels.to(device))
            verdicts[device.type] = evaluation.evaluate(network.to(device), attack, there, seed=0).correct
        with switched(FAST):
            there = Split(split.images.to(self.device), split.labels.to(self.device))
            fast = evaluation.evaluate(network.to(self.device), attack, there, seed=0).correct
        first, last = verdicts[self.device.type], verdicts["cpu"]
        note = f"of {len(split)} images; {int(first.sum())} stand here"
        yield Line(
            "correctness", "verdicts that differ from the CPU's", str(int((first != last).sum())), "images", note=note
        )
        different = str(int((first != fast).sum()))
        yield Line("correctness", "verdicts that differ with the switches on", different, "images", note=note)

    def same_bits_twice(self) -> Iterator[Line]:
        """Equality of the weights after equal trainings, and what cuDNN's deterministic kernels cost."""
        seconds = {}
        self._trained(self.device)  # loads the kernels
        for deterministic in (False, True):
            torch.backends.cudnn.deterministic = deterministic
            began = time.perf_counter()
            weights = [self._weights(self._trained(self.device)) for _ in range(2)]
            seconds[deterministic] = time.perf_counter() - began
            same = "yes" if torch.equal(*weights) else "no"
            yield Line("correctness", f"the same bits twice, deterministic: {deterministic}".lower(), same, "")
        ratio = f"{seconds[True] / seconds[False]:.2f}"
        yield Line("correctness", "time of a training with deterministic algorithms", ratio, "times")

    def resume(self) -> Iterator[Line]:
        """A training that is interrupted in its second epoch ends in the same bits."""
        whole = self._weights(self._trained(self.device))
        with tempfile.TemporaryDirectory() as folder:
            for last in (True, False):
                try:
                    resumed = self._weights(self._trained(self.device, Path(folder), interrupt=last))
                except KeyboardInterrupt:
                    continue
        same = "yes" if torch.equal(whole, resumed) else "no"
        yield Line("correctness", "a killed training resumes to the same bits", same, "")

    def out_of_memory(self) -> Iterator[Line]:
        """A batch that doesn't fit is halved until it does."""
        sizes: list[int] = []

        def work(piece: slice) -> int:
            sizes.append(piece.stop - piece.start)
            if self.device.type == "cuda":
                free, _ = torch.cuda.mem_get_info()
                torch.empty((free // 48) * sizes[-1], dtype=torch.uint8, device=self.device)
            elif sizes[-1] > 48:
                raise torch.OutOfMemoryError("DefaultCPUAllocator: not enough memory")
            return sizes[-1]

        done = sum(memory.in_pieces(work, 64, size=64))
        yield Line(
            "correctness", "images that were worked on after memory ran out", str(done), "of 64", note=str(sizes)
        )

    def two_jobs(self) -> Iterator[Line]:
        """Two processes ask for a GPU; the second waits until the first is done."""
        script = (
            "import time; from ataka.machine import leases; leases.gpu(); print(time.time(), flush=True); time.sleep(3)"
        )
        command = [sys.executable, "-c", script]
        jobs = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)
        ]
        began = sorted(float(job.communicate(timeout=60)[0]) for job in jobs)
        yield Line("correctness", "seconds that the second job of a device waits", f"{began[1] - began[0]:.1f}", "s")

    # ---- speed

    def matrix_product(self) -> Iterator[Line]:
        """The best bfloat16 product of square matrices: this run's peak."""
        n = self.sizes.matrix
        one, other = (torch.randn(n, n, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        seconds = min(self._seconds(lambda: one @ other, rounds=10))
        self.peak = 2 * n**3 / seconds
        yield Line("speed", f"bfloat16 product of {n} x {n}", f"{self.peak / 1e12:.1f}", "TFLOP/s", peak="1.00")

    def recording(self, arch: str, batch: int) -> Iterator[Line]:
        """A step of three teachers: their particles, their update."""
        x, y = self._images(batch)
        generator = Generator.model_validate({"eps": "8/255", "step_size": "0.003", "steps": self.sizes.steps})
        operations = 3 * (2 * self.sizes.steps + 3) * self._forward(arch) * batch

        def step(teachers: list[nn.Module], precision: Precision) -> None:
            shown = Batch(x=x, y=y, index=torch.arange(batch), stream=self._stream)
            with precision_of_training.generating(precision), precision_of_training.updating(teachers, precision):
                for loss in Teachers(generator).losses(teachers, shown):
                    loss.backward()  # type: ignore[no-untyped-call]

        half = Precision(generate="bfloat16", update="bfloat16")
        networks = partial(self._networks, arch, 3)
        plain = self._rate(networks, partial(step, precision=Precision()), batch, OFF)
        for name, switches in (("", FAST), (", compiled", FAST._replace(compile=True))):
            fast = self._rate(networks, partial(step, precision=half), batch, switches)
            yield self._line(f"recording, {arch} x 3, {batch} images{name}", fast, plain, operations / batch)

    def replay(self, arch: str, batch: int) -> Iterator[Line]:
        """A step of a student on clean images: a forward and an update."""
        x, y = self._images(batch)

        def step(students: list[nn.Module], precision: Precision) -> None:
            with precision_of_training.updating(students, precision):
                nn.functional.cross_entropy(students[0](x), y).backward()  # type: ignore[no-untyped-call]

        half = Precision(update="bfloat16")
        fast = self._rate(partial(self._networks, arch, 1), partial(step, precision=half), batch, FAST)
        plain = self._rate(partial(self._networks, arch, 1), partial(step, precision=Precision()), batch, OFF)
        yield self._line(f"replay, {arch}, {batch} images", fast, plain, 3 * self._forward(arch))

    def pgd(self) -> Iterator[Line]:
        attack = {"kind": "pgd", "images": None, "eps": "8/255", "step_size": "2/255", "clamp_start": False}
        yield from self._evaluation("PGD", attack | {"steps": self.sizes.steps}, 2 * self.sizes.steps + 1)

    def autoattack(self) -> Iterator[Line]:
        attack: dict[str, object] = {
            "kind": "aa",
            "images": None,
            "eps": "0.2/255",
            "version": "shortened",
            "chunk": self.sizes.chunk,
        }
        iterations, classes, queries = self.sizes.shortened
        attack |= {"iterations": iterations, "target_classes": classes, "queries": queries}
        name = f"AutoAttack of {iterations} iterations, {classes} target classes, {queries} queries"
        yield from self._evaluation(name, attack, None)

    def _evaluation(self, name: str, attack: dict[str, object], passes: int | None) -> Iterator[Line]:
        arch, count = self.sizes.students[0][0], self.sizes.images if passes else self.sizes.chunk
        rates = {}
        for switches in (FAST, OFF):
            (network,) = self._networks(arch, 1)
            there = self._answered(network.eval(), count)
            with switched(switches):
                run = partial(evaluation.evaluate, network, attack, there, seed=0)
                rates[switches] = count / min(self._seconds(run, rounds=2) if passes else self._once(run))
        operations = passes * self._forward(arch) if passes else 0.0
        yield self._line(f"{name}, {arch}, {count} images", rates[FAST], rates[OFF], operations)

    # ---- parts

    def _line(self, name: str, fast: float, plain: float, operations: float) -> Line:
        """``operations`` an image, of multiplications and additions."""
        share = f"{fast * operations / self.peak:.3f}" if self.peak and operations else ""
        return Line(
            "speed", name, f"{fast:.4g}", "images/s", f"{plain:.4g}", share, f"{fast / plain:.2f} times as fast"
        )

    def _rate(
        self,
        make: Callable[[], list[nn.Module]],
        step: Callable[[list[nn.Module]], None],
        batch: int,
        switches: Switches,
    ) -> float:
        networks = make()
        with switched(switches):
            for network in networks:
                acceleration.arrange(network, self._images(2)[0], bfloat16=switches is not OFF)
            return batch / min(self._seconds(lambda: step(networks), rounds=1 if self.sizes.tiny else 3))

    def _seconds(self, work: Callable[[], object], rounds: int) -> list[float]:
        """The seconds of each round, after a first round that is not counted."""
        return [second for _ in range(rounds + 1) for second in self._once(work)][1:]

    def _once(self, work: Callable[[], object]) -> list[float]:
        self._wait()
        began = time.perf_counter()
        work()
        self._wait()
        return [time.perf_counter() - began]

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _forward(self, arch: str) -> float:
        """Multiplications and additions of an image's forward."""
        return 2.0 * multiply_accumulates(arch, classes=10, channels=3, size=self.sizes.side)

    def _networks(self, arch: str, count: int) -> list[nn.Module]:
        torch.manual_seed(0)
        return [models.build(arch, classes=10).to(self.device).train() for _ in range(count)]

    def _images(self, count: int) -> tuple[Tensor, Tensor]:
        split = self._split(count)
        return (split.images / 255).to(self.device), split.labels.to(self.device)

    def _split(self, count: int) -> Split:
        """Ten noisy patterns, which a network learns within epochs."""
        source = torch.Generator().manual_seed(0)
        patterns = torch.rand(10, 3, self.sizes.side, self.sizes.side, generator=source)
        labels = torch.arange(count) % 10
        noise = torch.rand(count, 3, self.sizes.side, self.sizes.side, generator=source)
        return Split((255 * (0.4 * patterns[labels] + 0.6 * noise)).to(torch.uint8), labels)

    def _answered(self, network: nn.Module, count: int) -> Split:
        """Images with the network's own answers for labels, so that all stand before an attack."""
        images = self._split(count).images.to(self.device)
        with torch.no_grad():
            return Split(images, network(images / 255).argmax(1))

    def _stream(self, *name: str | int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(len(name))

    def _trained(self, device: torch.device, folder: Path | None = None, *, interrupt: bool = False) -> nn.Module:
        torch.manual_seed(0)
        network = models.build(self.sizes.small, classes=10).to(device)
        split = self._split(64 if self.sizes.tiny else 2000)
        there = Split(split.images.to(device), split.labels.to(device))
        rates = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "milestones": [1]}
        setup = Setup.model_validate({"epochs": self.sizes.epochs, "batch_size": 32, "probe": None, **rates})
        train = partial(training.train, [network], Natural(), there, self.facts, setup, seed=0)
        if folder is None:
            train()
            return network
        progress = _Interrupting() if interrupt else Progress.silent()
        with States(folder, {"bench": 0}, {}, progress) as states:
            train(states=states, progress=progress)
        return network

    @staticmethod
    def _weights(network: nn.Module) -> Tensor:
        return torch.cat([parameter.detach().cpu().flatten() for parameter in network.parameters()])


class _Interrupting(Progress):
    """Interrupts a training as its first epoch has ended."""

    def __init__(self) -> None:
        vars(self).update(vars(Progress.silent()))

    def end_epoch(self, number: int, row: object) -> None:
        if number == 2:
            raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Measure on the GPU, or on a CPU where there is none, write the CSV, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="What a GPU gives.")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: does it run?")
    parser.add_argument("--out", type=Path, default=FOLDER / "gpu.csv", help="the CSV that it writes")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds, after which no measurement begins (480)")
    given = parser.parse_args(arguments)
    bench = Bench(Sizes(tiny=given.tiny, limit=given.limit))
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU"
    about = {"device": name, "torch": torch.__version__, "python": sys.version.split()[0]}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*(field.name for field in fields(Line)), *about])
        writer.writeheader()
        for line in bench.lines():
            writer.writerow(asdict(line) | about)
            file.flush()  # what was measured stays, whatever comes
            print(", ".join(filter(None, asdict(line).values())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
