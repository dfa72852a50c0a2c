"""The processes of one job, tied together by torch.distributed: gloo on CPUs, nccl on GPUs.

The first process leads: it has the job's files, state and last word. The others compute for it (stages/spread.py).
Numbers are passed on and never summed, so that no bit depends on the number of processes: a sum over three processes
has an order of its own, and MIN and MAX may drop a NaN. Tensors travel as contiguous copies, since a collective over
tensors of other layouts mixes their elements without a word.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from ataka.machine import torchrun

_PATIENCE = timedelta(days=10)
"""The longest wait for another process, which may compute for hours. Torchrun sees within a second that one is lost."""


@contextmanager
def _others() -> Iterator[None]:
    """The other processes take part in this block; Lost where one of them is gone.

    From then on the first process is deaf to the SIGTERM by which torchrun ends what is left of a job, and writes its
    checkpoint; half a minute later torchrun would kill it. Another process has nothing to write, and ends.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if distributed.get_rank():
            os._exit(1)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise torchrun.Lost(f"a process of this job is gone: {str(error).splitlines()[0]}") from error


class Group:
    """The processes of a job, each of which has a ``rank`` from 0 to ``count`` - 1; networks are numbered from 0."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count
        self._posted: list[tuple[Any, Tensor]] = []
        """Transfers under way, with the bytes that have to stay until they end."""

    def owner(self, network: int) -> int:
        """The rank of the process that computes the steps of a network."""
        return network % self.count

    def mine(self, networks: int) -> list[int]:
        """The numbers of this process's networks, of so many."""
        return [network for network in range(networks) if self.owner(network) == self.rank]

    @_others()
    def order(self, message: Any = None) -> Any:
        """The first process's ``message``, in every process."""
        box = [message]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    @_others()
    def all_of(self, value: Any) -> list[Any]:
        """The ``value`` of each process, in every process."""
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    @_others()
    def spread(self, *tensors: Tensor) -> None:
        """Fill the ``tensors`` of every process, which are contiguous, with the first one's."""
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)

    @_others()
    def exchange(self, own: Mapping[int, Tensor], networks: int) -> list[Tensor]:
        """The tensors of all ``networks``, of one shape and layout; ``own`` are those of this process's, by number."""
        like = next(iter(own.values()))
        held = [own[i].contiguous() if i in own else like.new_empty(like.shape) for i in range(networks)]
        pending = [distributed.broadcast(each, src=self.owner(i), async_op=True) for i, each in enumerate(held)]
        for work in pending:
            work.wait()  # type: ignore[union-attr]
        return [own[i] if i in own else torch.empty_like(like).copy_(each) for i, each in enumerate(held)]

    @_others()
    def post(self, tensors: Sequence[Tensor], to: int) -> None:
        """Send ``tensors``, as they are now, to the process ``to``, which receives them; does not wait for it."""
        packed = torch.cat([tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in tensors])
        self._posted.append((distributed.isend(packed, to), packed))

    @_others()
    def delivered(self) -> None:
        """Wait until what was posted has arrived."""
        for work, _ in self._posted:
            work.wait()
        self._posted.clear()

    @_others()
    @torch.no_grad()
    def receive(self, tensors: Sequence[Tensor], source: int) -> None:
        """Fill ``tensors`` with those that the process ``source`` posts, of the same shapes and dtypes."""
        sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
        packed = torch.empty(sum(sizes), dtype=torch.uint8, device=tensors[0].device)
        distributed.recv(packed, source)
        for tensor, part in zip(tensors, torch.split(packed, sizes), strict=True):
            tensor.copy_(part.clone().view(tensor.dtype).view(tensor.shape))


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group of this process's job, or of this process alone where torchrun did not start it.

    Where the block of the first process ends well, the others get None as their last order.
    """
    if not torchrun.is_rank():
        yield Group()
        return
    torchrun.end_with_torchrun()
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    group = Group(distributed.get_rank(), distributed.get_world_size())
    if group.rank:  # it has nothing to save
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
    yield group
    if not group.rank:
        group.order(None)
    distributed.destroy_process_group()
