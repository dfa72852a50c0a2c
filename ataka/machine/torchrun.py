"""A job's command starts its processes by torchrun, and ends as they do. Torch is loaded for that alone."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from ataka.errors import UserError
from ataka.machine import attempts, warm

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_ID = "TORCHELASTIC_RUN_ID"
"""The environment variable that torchrun gives to the processes that it starts."""
POLL = 0.2
"""Seconds between two looks of torchrun at its processes, and of a process at torchrun."""
KILLED = 137
"""The exit code of a job of which a process was killed."""
_OF_THE_COMMAND = (warm.ADDRESS, attempts.NUMBER)
"""Environment variables for the command alone: a process of its starts no warm job, and notes no attempt."""


class Killed(RuntimeError):
    """A process of the job was killed without a word, as for its memory, and the others were ended."""


class Lost(RuntimeError):
    """A process of the job is gone, as another one of them sees it."""


def is_rank() -> bool:
    """Whether torchrun started this process, as one of a job's."""
    return _ID in os.environ


def local_rank() -> int:
    """The number of this process among those that torchrun started on this machine."""
    return int(os.environ["LOCAL_RANK"])


def launch(arguments: Sequence[str], count: int) -> None:
    """Run ``python -m ataka ARGUMENTS`` as ``count`` processes by torchrun, until they have ended.

    Raises UserError with the words of a process that met a mistake, Killed, KeyboardInterrupt, and RuntimeError for any
    other end.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    asked = ["--standalone", "--nproc-per-node", str(count), "--monitor-interval", str(POLL), "--no-python"]
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with _of_the_processes():
        try:
            run.run(run.parse_args([*asked, sys.executable, "-m", "ataka", *arguments]))  # type: ignore[no-untyped-call]
            return
        except ChildFailedError as error:
            raise _reason(error.failures) from None
        except SignalException as caught:
            number = caught.sigval
    try:
        signal.raise_signal(number)  # for whoever listened before torchrun did
    except KeyboardInterrupt as interrupt:
        interrupt.args = ("the line above says where the next start goes on",)
        raise


@contextmanager
def _of_the_processes() -> Iterator[None]:
    """The environment for a job's processes; restores the command's, and the handlers that torchrun replaces."""
    kept = {name: os.environ.pop(name) for name in _OF_THE_COMMAND if name in os.environ}
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        os.environ |= kept
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _reason(failures: Mapping[int, "ProcessFailure"]) -> Exception:
    """The error of a job from the ends of its processes, where each but the first lost another or was ended.

    A mistake comes before a kill: an idle process may have to be killed.
    """
    for failure in failures.values():
        if failure.exitcode == attempts.MISTAKE:
            message = failure.message
            return UserError(str(message["message"] if isinstance(message, dict) else message).partition(": ")[2])
    for rank, failure in failures.items():
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            return Killed(f"process {rank} was killed without a word ({failure.signal_name()}), as for its memory")
    rank, failure = next(iter(failures.items()))
    return RuntimeError(f"process {rank} failed with exit code {failure.exitcode}; its last lines say why")


# ---- within a process of the job


def end_with_torchrun() -> None:
    """From here on, end at once when torchrun is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(KILLED)

    threading.Thread(target=watch, daemon=True).start()


def leave(code: int, words: str = "") -> NoReturn:
    """End this process of a job with its last ``words``, which are the command's if it was a mistake.

    No other process is waited for, whatever it waits for.
    """
    if code == attempts.MISTAKE:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(UserError(words.removeprefix("error: ")))
    elif words:
        print(words, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
