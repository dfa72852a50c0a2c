"""Warm starts: jobs are forked from one process that has loaded torch, instead of loading it for two seconds each.

Where jobs are short (`warm_start` in the demo's and smoke's configuration), Snakemake's start opens a `Server`. A job's
command finds the server's address in the environment, hands over its arguments and standard streams, and waits for the
exit code, while a forked child does the work. The command passes signals on. The child ends when the command is killed,
and every process ends with Snakemake. Without a server the command does the work itself.
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


def run(module: str, arguments: Sequence[str]) -> int:
    """``main(arguments)`` of ``module``, in a forked process if there is a server, else in this one."""
    with socket.socket(socket.AF_UNIX) as connection:
        if _is_served(connection):
            return _wait(connection, {"module": module, "arguments": list(arguments)})
    code: int = importlib.import_module(module).main(list(arguments))
    return code


def _is_served(connection: socket.socket) -> bool:
    try:
        connection.connect(os.environ[ADDRESS])
    except (KeyError, OSError):  # no server was started, or it is gone
        return False
    return True


def _wait(connection: socket.socket, request: dict[str, Any]) -> int:
    child: list[int] = []
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if not child:
            early.append(number)  # a signal before anybody could tell whom it is for
            return
        with suppress(ProcessLookupError):
            os.kill(child[0], number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    message = json.dumps(request | {"folder": str(Path.cwd()), "environment": dict(os.environ)}).encode()
    socket.send_fds(connection, [len(message).to_bytes(_LENGTH)], [0, 1, 2])
    connection.sendall(message)
    child.append(int.from_bytes(_exactly(connection, _LENGTH)))
    for arrived in early:
        forward(arrived, None)
    answer = _exactly(connection, _LENGTH)
    return int.from_bytes(answer) if answer else 137  # the child was killed


def _exactly(connection: socket.socket, count: int) -> bytes:
    """``count`` bytes, or none if the other side ended before."""
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            return b""
        received += piece
    return received


class Server:
    """A process with ``modules`` loaded, which forks jobs until this one ends; ``environment`` holds its address."""

    def __init__(self, *modules: str) -> None:
        # removed when this process ends
        self._folder = tempfile.TemporaryDirectory(prefix="ataka-", dir=_short(tempfile.gettempdir()))
        address = Path(self._folder.name, "socket")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ataka.machine.warm", str(address), *modules],
            stdin=subprocess.PIPE,  # its end of file is how the server learns that we are gone
            start_new_session=True,  # Ctrl-C is for the jobs' commands, which pass it on
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a process that forks had better have one thread
        )
        self.environment = {ADDRESS: str(address)}

    @property
    def process(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def close(self) -> None:
        """End the server; running jobs finish."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _short(folder: str) -> str:
    """``folder``, or /tmp where the path of a socket below ``folder`` would be longer than the system allows."""
    return folder if len(os.fsencode(folder)) + len("/ataka-12345678/socket") <= _LONGEST else "/tmp"


def serve(address: str, *modules: str) -> None:
    """Load ``modules``, then fork a child for each connection at ``address``, until standard input ends."""
    for name in modules:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(address)
        except FileNotFoundError:  # Snakemake had ended before the modules were loaded, and its folder is gone
            return
        listener.listen(128)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _job(connection)
            connection.close()


def _job(connection: socket.socket) -> NoReturn:
    """In the forked child: do the command's work, and answer with the exit code."""
    code = 1
    try:
        head, streams, _, _ = socket.recv_fds(connection, _LENGTH, 3)
        request = json.loads(_exactly(connection, int.from_bytes(head)))
        for standard, given in enumerate(streams):
            os.dup2(given, standard)
            os.close(given)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ |= request["environment"]
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        connection.sendall(os.getpid().to_bytes(_LENGTH))
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
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


def _end_with(connection: socket.socket) -> None:
    """End at once when the command is gone. A command that was killed with bytes unread resets the connection."""
    with suppress(OSError):
        _exactly(connection, 1)
    os._exit(137)


if __name__ == "__main__":
    serve(*sys.argv[1:])
