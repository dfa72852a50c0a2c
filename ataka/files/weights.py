"""Files of weights that others wrote, read as plain tensors: nothing in such a file is executed.

Two formats are read: safetensors, and torch.save's, through torch's ``weights_only`` reader alone. A file is recognised
by its first bytes, since names are often wrong. Whatever else it is, the message says so.
"""

import hashlib
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pickle import UnpicklingError
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from ataka.errors import UserError, few
from ataka.files.locate import locate

SAVE = "where you trust the file, save its state dict alone, with torch.save or as safetensors"
_OTHERS = {
    b"\x89HDF\r\n": "an HDF5 file, as Keras writes them",
    b"GGUF": "a GGUF file",
    b"version https://git-lfs": "a pointer of Git LFS, which stands for the file: fetch the file with 'git lfs pull'",
    b"<!doctype html": "a web page: the download failed, or asked for a confirmation. Download the file again",
    b"<html": "a web page: the download failed, or asked for a confirmation. Download the file again",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\x93numpy": "an array of NumPy",
}
"""The first bytes of other kinds of files, whatever their case, and the kind that begins so."""
_LONGEST_HEADER = 100_000_000
"""The longest header of a safetensors file, in bytes, that its reader takes."""
_DAMAGE = (OSError, ValueError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)
"""The errors of Python's zipfile for an archive that isn't whole; NotImplementedError is a RuntimeError."""


def read(path: str, sha256: str) -> Any:
    """The content of the file ``path`` (see `locate`), whose digest is ``sha256``, with its tensors on the CPU.

    Raises UserError if the file is another one, damaged, or holds more than plain tensors, numbers and texts.
    """
    file = locate(path)
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest != sha256.lower():
                raise UserError(
                    f"{path} has SHA-256 {digest}, but {sha256} is expected: "
                    "the file is damaged or another one; fetch it again, or correct the digest"
                )
            content.seek(0)
            return _content(path, content)
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or error}") from None


def _content(path: str, file: IO[bytes]) -> Any:
    """The content of an open file."""
    head = file.read(64)
    file.seek(0)
    for start, kind in _OTHERS.items():
        if head.lower().startswith(start.lower()):
            raise UserError(f"{path} holds no weights: it is {kind}")
    try:
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LONGEST_HEADER:
            return load_safetensors(file.read())
    except SafetensorError as error:
        raise UserError(f"can't read {path} as safetensors: {error}: is the file whole?") from None
    if (protocol := _protocol(file)) > 3:
        raise UserError(
            f"{path} is written in pickle protocol {protocol}, and torch's safe reader knows 2 and 3. Another reader "
            f"could run code, so it is refused: {SAVE}; torch.save's own protocol is 2"
        )
    if not head.startswith((b"PK", b"\x80")):
        raise UserError(f"{path} is neither a PyTorch nor a safetensors file, or it is damaged: fetch it again")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise UserError(
            f"{path} holds more than plain tensors{_names(file)}, or is no PyTorch file. Loading anything else could "
            f"run code, so it is refused: {SAVE}"
        ) from None
    except Exception as error:  # torch.load raises whatever damaged bytes happen to hit: KeyError, EOFError, ...
        if _is_program(file):
            raise UserError(
                f"{path} is a TorchScript archive: a program with its weights, not weights alone. A program can't be "
                f"checked for what it does, so it is refused: ask its authors for the weights, or {SAVE}"
            ) from None
        words = str(error).partition(". In PyTorch 2.6")[0]  # torch's advice after that is to load unsafely
        raise UserError(f"can't read {path} as weights: {type(error).__name__}: {words}") from None


def _protocol(file: IO[bytes]) -> int:
    """The pickle protocol of a file, or of the pickle in torch's archive; 0 where there is none to see."""
    head = b""
    with suppress(*_DAMAGE):
        head = file.read(2)
        if head == b"PK":
            with zipfile.ZipFile(file) as archive:
                pickles = [name for name in archive.namelist() if _member(name) == "data.pkl"]
                head = archive.open(pickles[0]).read(2) if pickles else b""
    file.seek(0)
    return head[1] if len(head) == 2 and head[:1] == b"\x80" else 0


def _is_program(file: IO[bytes]) -> bool:
    """Whether a file is an archive of torch.jit: one with a folder of code."""
    with suppress(*_DAMAGE), zipfile.ZipFile(file) as archive:
        return any(_member(name).startswith("code/") for name in archive.namelist())
    return False


def _member(name: str) -> str:
    """A member of torch's archive without the name of the archive, which is its first folder."""
    return name.partition("/")[2]


def _names(file: IO[bytes]) -> str:
    """In brackets, the names of what a file holds beside tensors, where torch can list them without loading it."""
    with suppress(Exception):  # of a damaged file, or of one that is no archive
        file.seek(0)
        if names := torch.serialization.get_unsafe_globals_in_checkpoint(file):
            return f" ({few(sorted(names))})"
    return ""


# ---- what no network holds

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def require_real(path: str, tensors: Mapping[str, Tensor]) -> None:
    """UserError, with the tensors' names, unless all are finite real numbers in float32, and no variance is negative.

    A counter may be an integer, since no number depends on it, and so may the mean and deviation of a normalisation.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        if problem := _problem(name, tensor):
            named[problem].append(name)
    if named:
        listed = "; ".join(f"{few(names)} {problem}" for problem, names in named.items())
        raise UserError(f"{path} holds weights that no network of floating-point numbers has: {listed}")


def _problem(name: str, tensor: Tensor) -> str:
    """The fault in the numbers of a tensor, for a message; an empty text if there is none."""
    if tensor.is_meta:
        return "without any numbers (saved from torch's meta device)"
    if tensor.layout != torch.strided:
        return f"as {str(tensor.layout).removeprefix('torch.')} tensors"
    integral = tensor.dtype == torch.int64 and name.endswith((".num_batches_tracked", ".mean", ".std"))
    if tensor.dtype not in _REAL and not integral:
        return f"of type {str(tensor.dtype).removeprefix('torch.')}" + (" (quantised)" if tensor.is_quantized else "")
    if not tensor.float().isfinite().all():
        return "not finite in float32"
    if name.endswith(".running_var") and (tensor < 0).any():
        return "negative"
    return "not above 0" if name.endswith(".std") and (tensor <= 0).any() else ""
