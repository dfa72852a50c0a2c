"""Warm starts: jobs are forked from one process that has loaded torch, instead of loading it for two seconds each.

Where jobs are short (`warm_start` in the demo's and smoke's configuration; a group of evaluations on a cluster),
Snakemake's start opens a `Server`. A job's command finds the server's address in the environment, hands over its
arguments, environment and standard streams, and waits for the exit code, while a forked child does the work. The
command passes signals on. The child ends when the command is killed, and every process ends with Snakemake. Without a
server the command does the work itself.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

ADDRESS = "ATAKA_WARM"
"""The environment variable that holds the server's address."""
_LENGTH = 8
_LONGEST = 103
"""Bytes of a socket's path under every system; Linux allows 107."""
_WAITING = 128
"""Commands that may wait for the server at once."""
_KILLED = 128 + signal.SIGKILL
"""Exit code of a job that was killed."""


def run(module: str, arguments: Sequence[str]) -> int:
    """``main(arguments)`` of ``module``, in a forked process if there is a server, else in this one.

    A ``module`` with a function ``killed(arguments)`` is told of a forked process that SIGKILL ended after a SIGTERM.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        if _is_served(connection):
            code = _wait(connection, module, list(arguments))
            if code is not None:
                return code
    return int(importlib.import_module(module).main(list(arguments)))


def _is_served(connection: socket.socket) -> bool:
    try:
        connection.connect(os.environ[ADDRESS])
    except (KeyError, OSError):  # no server was started, or it is gone
        return False
    return True


def _wait(connection: socket.socket, module: str, arguments: list[str]) -> int | None:
    """The exit code of the forked process; None if the server ended before it forked one."""
    child: list[int] = []
    early: list[int] = []
    ended: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if not child:
            early.append(number)  # a signal before anybody could tell whom it is for
            return
        if number == signal.SIGTERM:
            ended.append(number)
        with suppress(ProcessLookupError):
            os.kill(child[0], number)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heeded = [number for number, handler in handlers.items() if handler != signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, forward)
    process = _request(connection, {"module": module, "arguments": arguments})
    if process is None:
        for number in heeded:
            signal.signal(number, handlers[number])
        for arrived in early:
            signal.raise_signal(arrived)
        return None
    child.append(process)
    for arrived in early:
        forward(arrived, None)
    if answer := _exactly(connection, _LENGTH):
        return int.from_bytes(answer)
    if not ended:
        return _KILLED
    if told := getattr(importlib.import_module(module), "killed", None):
        told(arguments)
    return 128 + signal.SIGTERM


def _request(connection: socket.socket, request: dict[str, Any]) -> int | None:
    """Hand over a job and this process's standard streams; the forked process's id, or None without one."""
    message = json.dumps(request | {"folder": str(Path.cwd()), "environment": dict(os.environ)}).encode()
    try:
        socket.send_fds(connection, [len(message).to_bytes(_LENGTH)], [0, 1, 2])
        connection.sendall(message)
    except ConnectionError:
        return None
    answer = _exactly(connection, _LENGTH)
    return int.from_bytes(answer) if answer else None


def _exactly(connection: socket.socket, count: int) -> bytes:
    """``count`` bytes, or none if the other side ended before; with bytes unread it resets the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while len(received) < count:
            piece = connection.recv(count - len(received))
            if not piece:
                return b""
            received += piece
        return received
    return b""


class Server:
    """A process with ``modules`` loaded, which forks jobs until this one ends; ``environment`` holds its address."""

    def __init__(self, *modules: str) -> None:
        # removed when this process ends
        self._folder = tempfile.TemporaryDirectory(prefix="ataka-", dir=_short(tempfile.gettempdir()))
        address = str(Path(self._folder.name, "socket"))
        with socket.socket(socket.AF_UNIX) as listener:  # jobs can connect from now on, and wait for the modules
            listener.bind(address)
            listener.listen(_WAITING)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ataka.machine.warm", str(listener.fileno()), *modules],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,  # its end of file is how the server learns that we are gone
                start_new_session=True,  # Ctrl-C is for the jobs' commands, which pass it on
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a process that forks had better have one thread
            )
        self.environment = {ADDRESS: address}

    @property
    def process(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def close(self) -> None:
        """Let running jobs finish, and end the server; this process then answers for the CPU time of all."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _short(folder: str) -> str:
    """``folder``, or /tmp where the path of a socket below ``folder`` would be longer than the system allows."""
    return folder if len(os.fsencode(folder)) + len("/ataka-12345678/socket") <= _LONGEST else "/tmp"


def serve(descriptor: str, *modules: str) -> None:
    """Load ``modules``, then fork a child for each connection at a socket, until standard input ends."""
    with socket.socket(fileno=int(descriptor)) as listener:
        listener.set_inheritable(False)
        for name in modules:
            importlib.import_module(name)
        signal.signal(signal.SIGCHLD, _reap)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _job(connection)
            connection.close()
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _reap(_number: int, _frame: FrameType | None) -> None:
    """Reap children that have ended: a cluster's accounts leave out the CPU time of others."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _job(connection: socket.socket) -> NoReturn:
    """In the forked child: do the command's work, and answer with the exit code."""
    code = 1
    try:
        request = _begin(connection)
        code = importlib.import_module(request["module"]).main(request["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(code.to_bytes(_LENGTH))
    os._exit(code)


def _begin(connection: socket.socket) -> dict[str, Any]:
    """Take the command's place: its streams, folder, environment and signals."""
    head, streams, _, _ = socket.recv_fds(connection, _LENGTH, 3)
    message = _exactly(connection, int.from_bytes(head))
    if not message:  # the command has ended while it waited for the server
        os._exit(_KILLED)
    request: dict[str, Any] = json.loads(message)
    for standard, given in enumerate(streams):
        os.dup2(given, standard)
        os.close(given)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ |= request["environment"]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    with suppress(BrokenPipeError):  # the thread ends this process
        connection.sendall(os.getpid().to_bytes(_LENGTH))
    return request


def _end_with(connection: socket.socket) -> None:
    """End at once when the command is gone."""
    _exactly(connection, 1)
    os._exit(_KILLED)


if __name__ == "__main__":
    serve(*sys.argv[1:])
