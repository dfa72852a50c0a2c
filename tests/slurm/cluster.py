"""A cluster with Slurm on this machine: one node, on loopback alone, with fake GPUs; for tests.

    .venv/bin/python -m tests.slurm.cluster install     Debian's packages, as root
    .venv/bin/python -m tests.slurm.cluster run         a cluster until Ctrl-C; prints how to use it

The daemons are children of this process and end with it. All files, the configuration too, lie in one folder; small
programs in its `bin/` give every client that configuration, so that nothing is written to /etc. There are no cgroups
and no systemd. A fake GPU is a link to /dev/null.
"""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
DATABASE = ("slurmdbd", "mariadb-server-core", "mariadb-client-core")
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")
_PATIENCE = 60
_PORTS = 60
_WHERE = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class Unavailable(Exception):
    """No cluster can be brought up here, and why."""


class Cluster:
    """One node that claims ``cpus``, ``memory_mb`` and ``gpus``; with ``accounting`` it has a database for sacct."""

    def __init__(
        self, folder: Path, *, cpus: int = 2, memory_mb: int = 16000, gpus: int = 2, accounting: bool = False
    ) -> None:
        self.folder, self.accounting = folder, accounting
        self.cpus, self.memory_mb, self.gpus = cpus, memory_mb, gpus
        self.host = socket.gethostname().partition(".")[0]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._port = 0

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client's environment needs."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def ask(self, *command: str, check: bool = True) -> str:
        """The output of a client's command."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def jobs(self) -> list[str]:
        """The ids of all jobs that are queued or running."""
        return self.ask("squeue", "--noheader", "--format", "%i").split()

    def start(self) -> None:
        """Start the daemons, and wait for the node. Unavailable where programs or a loopback name are missing."""
        _require(("slurmdbd", "mariadbd", "mariadb-install-db") if self.accounting else ())
        if not socket.gethostbyname(socket.gethostname()).startswith("127."):
            raise Unavailable(
                f"the host name {self.host} is no loopback address: add '127.0.0.1 {self.host}' to /etc/hosts"
            )
        self._port = _free_ports()
        self._write()
        socket_of_munge = self.folder / "munge.socket"
        force = [] if os.getuid() == 0 else ["--force"]
        names = {"key-file": "munge.key", "seed-file": "munge.seed", "pid-file": "munge.pid", "log-file": "munge.log"}
        files = [f"--{option}={self.folder / name}" for option, name in names.items()]
        self._run("munged", "--foreground", *force, f"--socket={socket_of_munge}", *files)
        self._wait("munged", socket_of_munge.exists)
        if self.accounting:
            self._start_database()
        self._run("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        self._wait("slurmctld", lambda: "UP" in self.ask("scontrol", "ping", check=False))
        self.start_node()

    def start_node(self) -> None:
        self._run("slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", self.host)
        self._wait("slurmd", lambda: self.state() in ("idle", "mixed", "allocated"))

    def stop_node(self) -> None:
        """Lose the node: its daemon is killed, and Slurm is told that the node is down, so that its jobs end."""
        self._end("slurmd", signal.SIGKILL)
        self.ask("scontrol", "update", f"nodename={self.host}", "state=down", "reason=test")

    def state(self) -> str:
        return self.ask("sinfo", "--noheader", "--format", "%T", check=False).strip().rstrip("*")

    def stop(self) -> None:
        if "slurmctld" in self._processes:
            self.ask("scancel", "--full", "--user", str(os.getuid()), check=False)
            with suppress(Unavailable, RuntimeError, subprocess.SubprocessError):
                self._wait("slurmctld", lambda: not self.jobs())
        for name in ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged"):
            self._end(name, signal.SIGTERM)

    # ---- daemons

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [_program(name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")},
                start_new_session=True,  # Ctrl-C is for the tests, which end the daemons in their order
                preexec_fn=_end_with_parent,
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not ready():
            ended = self._processes[name].poll()
            if ended is not None or time.monotonic() > deadline:
                log = (self.folder / f"{name}.out").read_text("utf-8", "replace").splitlines()[-5:]
                what = "is not ready" if ended is None else f"ended with code {ended}"
                raise Unavailable(f"{name} {what}: {' / '.join(log) or 'without a word'}")
            time.sleep(0.1)

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start_database(self) -> None:
        data, user = self.folder / "database", _user()
        making = [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--user={user}",
            f"--datadir={data}",
            "--skip-test-db",
        ]
        subprocess.run(making, check=True, capture_output=True)
        self._run(
            "mariadbd",
            "--no-defaults",
            f"--user={user}",
            f"--datadir={data}",
            "--bind-address=127.0.0.1",
            f"--port={self._port}",
            f"--socket={self.folder / 'mariadb.socket'}",
            "--skip-grant-tables",
            "--innodb-lock-wait-timeout=900",
        )
        self._wait("mariadbd", lambda: _answers(self._port))
        self._run("slurmdbd", "-D")
        self._wait("slurmdbd", lambda: "Cluster" in self.ask("sacctmgr", "show", "cluster", check=False))
        for entity in (["cluster", "test"], ["account", "mine"], ["user", user, "account=mine"]):
            self.ask("sacctmgr", "--immediate", "add", *entity)

    # ---- configuration

    def _write(self) -> None:
        folder, port = self.folder, self._port
        for name in ("bin", "state", "spool", "dev", "database"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for client in CLIENTS:
            program = folder / "bin" / client
            program.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {_program(client)} "$@"\n')
            program.chmod(0o755)
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        for index in range(self.gpus):
            (folder / f"dev/gpu{index}").symlink_to("/dev/null")
        user = _user()
        settings = {
            "ClusterName": "test",
            "SlurmctldHost": f"{self.host}(127.0.0.1)",
            "SlurmctldPort": port + 1,
            "SlurmdPort": port + 2,
            "SrunPortRange": f"{port + 4}-{port + _PORTS - 1}",
            "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge.socket",
            "CredType": "cred/munge",
            "SlurmctldPidFile": f"{folder}/slurmctld.pid",
            "SlurmdPidFile": f"{folder}/slurmd.pid",
            "StateSaveLocation": f"{folder}/state",
            "SlurmdSpoolDir": f"{folder}/spool",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "MpiDefault": "none",
            "SwitchType": "switch/none",
            "JobAcctGatherType": "jobacct_gather/linux",
            "JobAcctGatherFrequency": "task=1",
            "JobAcctGatherParams": "OverMemoryKill",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_CPU_Memory",
            "SchedulerParameters": "batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=1",
            "EnforcePartLimits": "ALL",
            "PropagateResourceLimits": "NONE",
            "KillWait": 5,
            "MinJobAge": 1800,  # tests look back at what jobs asked for
            "SlurmdTimeout": 30,
            "ReturnToService": 2,
            "MailProg": "/bin/true",
            "SlurmdParameters": "config_overrides",
            "GresTypes": "gpu",
        }
        if self.accounting:
            settings |= {
                "AccountingStorageType": "accounting_storage/slurmdbd",
                "AccountingStorageHost": "127.0.0.1",
                "AccountingStoragePort": port + 3,
                "AccountingStoragePass": f"{folder}/munge.socket",
                "AccountingStorageTRES": "gres/gpu",
            }
        gres = f"Gres=gpu:fake:{self.gpus}" if self.gpus else ""
        node = (
            f"NodeName={self.host} NodeAddr=127.0.0.1 CPUs={self.cpus} RealMemory={self.memory_mb} {gres} State=UNKNOWN"
        )
        partition = f"PartitionName=main Nodes={self.host} Default=YES DefaultTime=10 MaxTime=1440 State=UP"
        lines = [*(f"{name}={value}" for name, value in settings.items()), node, partition]
        (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        devices = (
            f"NodeName={self.host} Name=gpu Type=fake Flags=nvidia_gpu_env File={folder}/dev/gpu[0-{self.gpus - 1}]"
        )
        (folder / "gres.conf").write_text("AutoDetect=off\n" + (f"{devices}\n" if self.gpus else ""))
        database = {
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge.socket",
            "DbdHost": self.host,
            "DbdAddr": "127.0.0.1",
            "DbdPort": port + 3,
            "CommunicationParameters": "NoInAddrAny",
            "SlurmUser": user,
            "PidFile": f"{folder}/slurmdbd.pid",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": port,
            "StorageUser": "slurm",
            "StoragePass": "none",
        }
        path = folder / "slurmdbd.conf"
        path.write_text("".join(f"{name}={value}\n" for name, value in database.items()))
        path.chmod(0o600)


@contextmanager
def running(**node: int | bool) -> Iterator[Cluster]:
    """A cluster, for as long as the context lasts; Unavailable where none can be brought up."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # or munge refuses it
        cluster = Cluster(folder, **node)  # type: ignore[arg-type]
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def install(*, accounting: bool) -> None:
    """Install the missing packages of Debian without starting their services; Unavailable where that fails."""
    wanted = [*PACKAGES, *(DATABASE if accounting else ())]
    try:
        _require(("slurmdbd", "mariadbd", "mariadb-install-db") if accounting else ())
    except Unavailable:
        pass
    else:
        return
    if os.getuid() or shutil.which("apt-get") is None:
        raise Unavailable(f"only root can install {', '.join(wanted)}, and only with apt-get")
    policy = Path("/usr/sbin/policy-rc.d")  # asked by packages before they start a service
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]):
            done = subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True)
            if done.returncode:
                words = (done.stderr or done.stdout).strip().splitlines()
                raise Unavailable(f"apt-get {command[0]} failed: {words[-1] if words else done.returncode}")
    finally:
        if ours:
            policy.unlink()


def _require(more: tuple[str, ...]) -> None:
    missing = [name for name in (*DAEMONS, *more) if shutil.which(name, path=_WHERE) is None]
    if missing:
        raise Unavailable(f"{', '.join(missing)} not installed: .venv/bin/python -m tests.slurm.cluster install")


def _program(name: str) -> str:
    return shutil.which(name, path=_WHERE) or name


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _free_ports() -> int:
    """The first port of a random block in which nobody listens on loopback: two clusters may start at once."""
    blocks = range(21000, 30000, _PORTS)
    for first in random.sample(blocks, len(blocks)):
        if not any(map(_answers, range(first, first + _PORTS))):
            return first
    raise Unavailable("no block of free ports")


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _end_with_parent() -> None:
    """Let Linux end this process when its parent is gone, however the parent ended."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    accounting = "--accounting" in arguments
    verb = [word for word in arguments if word != "--accounting"]
    try:
        if verb == ["install"]:
            install(accounting=accounting)
        elif verb == ["run"]:
            with running(accounting=accounting, cpus=os.cpu_count() or 1) as cluster:
                print(f"a cluster is up until Ctrl-C: export PATH={cluster.folder}/bin:$PATH", flush=True)
                signal.pause()
        else:
            print(__doc__)
            return 2
    except Unavailable as error:
        print(f"no cluster with Slurm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
