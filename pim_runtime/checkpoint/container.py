"""The container of a saved state: a zip archive of JSON and .npy members, sealed by a checksum of every byte.

The seal is the archive's comment, its last bytes: format, version, and the SHA-256 of everything before. Members are
stored and not compressed, so nothing in a file can grow when it is read, and .npy members are read without pickle.
Other programs can open the archive as what it is, with `unzip` or `numpy.load`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import tokenize
import warnings
import zipfile
from collections.abc import Iterable
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import CheckpointError

__all__ = ["FIRST_MEMBER", "MALFORMED", "VERSION", "Container", "Member", "write_container"]

VERSION = 1
FIRST_MEMBER = "checkpoint.json"
SEAL = re.compile(rb"pim-runtime checkpoint ([0-9]{4}) sha256 ([0-9a-f]{64})")
SEAL_BYTES = 99
LOCAL_HEADER = struct.Struct("<26xHH")  # of a member: lengths of its name and of its extra field, which follow
SIGNATURES = (
    (b"PK", "a zip archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "an ELF file"),
    (b"\x80", "a pickle"),
)
Member = tuple[str, "bytes | NDArray[np.generic]"]

MALFORMED = (
    zipfile.BadZipFile, ValueError, KeyError, IndexError, TypeError, EOFError, RuntimeError, OverflowError,
    NotImplementedError, SyntaxError, struct.error, tokenize.TokenError, UserWarning,
)  # fmt: skip
"""What the standard library and NumPy raise for members that are not what they should be."""


def write_container(target: IO[bytes], members: Iterable[Member]) -> None:
    """Write a sealed archive; `target` need not be seekable. Raises OSError as it does."""
    sealing = _Sealing(target)
    with zipfile.ZipFile(cast("IO[bytes]", sealing), "w", zipfile.ZIP_STORED) as archive:
        archive.comment = bytes(SEAL_BYTES)
        for name, content in members:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                if isinstance(content, bytes):
                    member.write(content)
                else:
                    npy.write_array_header_1_0(member, npy.header_data_from_array_1_0(content))
                    member.write(np.ascontiguousarray(content).reshape(-1).view(np.uint8).data)
    sealing.finish()


class Container:
    """The members of a sealed archive. `name` is what errors call it.

    Raises CheckpointError for anything but an intact archive of this version.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.name, self._data = name, data
        match = SEAL.fullmatch(data[-SEAL_BYTES:])
        if match is None:
            raise CheckpointError(f"{name}: {_unsealed(data)}")
        version = int(match[1])
        if version != VERSION:
            raise CheckpointError(
                f"{name}: has version {version} of the format, and this pim-runtime reads version {VERSION}. Use the "
                f"pim-runtime that wrote it"
            )
        body = memoryview(data)[:-SEAL_BYTES]
        if hashlib.sha256(body).hexdigest().encode() != match[2]:
            raise CheckpointError(
                f"{name}: is damaged{_damaged_member(data)}: its SHA-256 is not what its seal says. Take an older "
                "checkpoint, or copy the file again"
            )
        try:
            self._members = {info.filename: info for info in zipfile.ZipFile(io.BytesIO(data)).infolist()}
        except MALFORMED as error:
            raise self.malformed(str(error)) from None

    def malformed(self, what: str) -> CheckpointError:
        """The error for a file that is intact and yet no checkpoint of this version."""
        return CheckpointError(f"{self.name}: is intact, but was not written by pim-runtime: {what}. Do not use it")

    def json(self, member: str) -> Any:
        """The content of a JSON member. Raises CheckpointError."""
        try:
            return json.loads(bytes(self._bytes(member)))
        except MALFORMED as error:
            raise self.malformed(f"{member}: {error}") from None

    def array(self, member: str, dtype: type[np.generic], nr_axes: int) -> NDArray[Any]:
        """An array member as it lies in the file, read-only. Raises CheckpointError for another dtype or shape."""
        try:
            data = self._bytes(member)
            header = io.BytesIO(bytes(data[:4096]))  # of which 118 bytes are written
            if npy.read_magic(header) != (1, 0):
                raise ValueError("not version 1.0 of the .npy format")
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # of NumPy, which reads headers that nobody wrote here
                shape, fortran_order, found = npy.read_array_header_1_0(header)
            if found != np.dtype(dtype) or len(shape) != nr_axes or fortran_order:
                raise ValueError(f"{found} {shape} in place of {np.dtype(dtype)} with {nr_axes} axes")
            return np.frombuffer(data[header.tell() :], found).reshape(shape)
        except MALFORMED as error:
            raise self.malformed(f"{member}: {error}") from None

    def _bytes(self, member: str) -> memoryview:
        info = self._members[member]
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise ValueError("is compressed or encrypted")
        name_bytes, extra_bytes = LOCAL_HEADER.unpack_from(self._data, info.header_offset)
        start = info.header_offset + LOCAL_HEADER.size + name_bytes + extra_bytes
        if start + info.file_size > len(self._data):
            raise ValueError("ends behind the end of the file")
        return memoryview(self._data)[start : start + info.file_size]


class _Sealing(io.RawIOBase):
    """A file to which a zip archive is written that ends in a comment of SEAL_BYTES: the seal takes its place."""

    def __init__(self, target: IO[bytes]) -> None:
        super().__init__()
        self._target, self._digest, self._held = target, hashlib.sha256(), b""

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if len(view) < SEAL_BYTES:
            view = memoryview(self._held + bytes(view))
        else:
            self._pass_on(memoryview(self._held))
        end = max(0, len(view) - SEAL_BYTES)
        self._pass_on(view[:end])
        self._held = bytes(view[end:])
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True

    def finish(self) -> None:
        self._target.write(b"pim-runtime checkpoint %04d sha256 %s" % (VERSION, self._digest.hexdigest().encode()))

    def _pass_on(self, view: memoryview) -> None:
        self._digest.update(view)
        self._target.write(view)


def _unsealed(data: bytes) -> str:
    """Why some bytes without a seal are no checkpoint."""
    if not data:
        return "is empty. Name a file that was written by DpuContext.save"
    if FIRST_MEMBER.encode() in data[:64]:
        return f"is a checkpoint that was cut off after {len(data):,} bytes. Take an older one, or copy the file again"
    kind = next((f" but {what}" for signature, what in SIGNATURES if data.startswith(signature)), "")
    return f"is no checkpoint{kind}. Name a file that was written by DpuContext.save"


def _damaged_member(data: bytes) -> str:
    """The first member with another checksum than the archive says, as far as it can be read at all."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        if sum(info.file_size for info in archive.infolist()) > len(data):
            return ""  # a foreign archive, which might unpack to anything
        member = archive.testzip()
    except MALFORMED:
        return ""
    return f" in {member}" if member else ""
