"""Downloading a file: resumed where it stopped, compared with a sha256, and in place whole or not at all."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.weights import sha256_of

# Takes the bytes that are there and the bytes in all, None where the server does not say.
Progress = Callable[[int, "int | None"], None]

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0
# A connection that breaks is taken up again this often, as long as each brings something.
_ATTEMPTS = 5
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
# What HTML, XML and JSON begin with; checkpoints and ONNX files begin with b"PK", 0x80 or 0x08.
_TEXT_BEGINNINGS = (b"<", b"{", b"[")
_BYTES_SEEN = 64
_USER_AGENT = "vpr_ros"  # Some servers refuse Python's own.


class FetchError(EncoderError):
    """Weights that have no address, can't be reached, break off, or are not what they were to be."""


def unwatched(_done: int, _total: int | None) -> None:
    """Take progress that nobody looks at."""


def download(address: str, target: Path, *, sha256: str | None, progress: Progress) -> None:
    """Bring a file in place under its name, whole or not at all.

    What came before a connection broke off is kept beside the target as ``.part``, and the next call goes on from
    there, if the server still has the same version of the file (RFC 9110, If-Range).

    Whole is what has as many bytes as the server said. Where it says none, only a sha256 can tell, or an answer in
    chunks, which ends with a mark of its own.

    Args:
        address: Of the file, http or https.
        target: Where it is to lie.
        sha256: What it must have, lower-case hex; None compares nothing.
        progress: Called as bytes come.

    Raises:
        FetchError: Out of reach, broken off, refused by the server, of unknown length without a sha256, or of another
            sha256, empty, or a text (then it is removed).
    """
    _refuse_address(address)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(target) as part:
            is_known_whole = _complete(part, address, target, progress)
            _refuse_another(part, sha256, address, is_known_whole=is_known_whole)
            _refuse_no_weights(part, address)
            os.fsync(part.file.fileno())
            # Before the move: after it, another process may have begun a file of its own under both names.
            part.version_path.unlink(missing_ok=True)
            part.path.replace(target)
    except OSError as error:
        raise FetchError(f"can't write '{target}': {error}; check space and permissions of its folder") from error


def _refuse_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        address.encode("ascii")
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname and parts.hostname.encode("idna"))
    except ValueError:  # An unclosed bracket, a host with an empty part, or letters that an address can't hold.
        is_usable = False
    if not is_usable:
        raise FetchError(
            f"address is '{address}', expected one that starts with http:// or https:// and a host, in ASCII; write "
            "other letters as %C3%A4"
        )


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """What came of a file so far.

    Attributes:
        path: Where it lies, beside its target.
        version_path: Where the server's mark of this version of the file lies.
        file: The open file.
    """

    path: Path
    version_path: Path
    file: BinaryIO

    @property
    def size(self) -> int:
        """Bytes that came so far."""
        return self.file.seek(0, os.SEEK_END)

    @property
    def version(self) -> str:
        """The server's mark, empty where it gave none or the file is damaged: then nothing can be resumed."""
        mark = self.version_path.read_text(encoding="ascii", errors="replace") if self.version_path.is_file() else ""
        return mark if mark.isascii() and mark.isprintable() else ""

    def restart(self, headers: Message | None = None) -> None:
        """Begin with nothing, of the version that these headers are of."""
        self.file.truncate(0)
        self.version_path.write_text("" if headers is None else _version_in(headers), encoding="utf-8")

    def discard(self) -> None:
        """Remove what came."""
        self.path.unlink(missing_ok=True)
        self.version_path.unlink(missing_ok=True)


@contextmanager
def _unfinished(target: Path) -> Iterator[_Unfinished]:
    path = target.with_name(f"{target.name}.part")
    with _locked(path, target) as file:
        part = _Unfinished(path, target.with_name(f"{target.name}.part.version"), file)
        try:
            yield part
        finally:
            if path.is_file() and not part.size:
                part.discard()


@contextmanager
def _locked(path: Path, target: Path) -> Iterator[BinaryIO]:
    """Open a file that no other process has, and that lies under its name.

    Between opening and locking, another process may have moved what we opened into its place: it must not be touched.
    """
    while True:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FetchError(f"another process is fetching '{target.name}'; wait for it") from error
            if _lies_at(path, file):
                yield file
                return


def _lies_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _version_in(headers: Message) -> str:
    """Return the server's mark of a version; empty where there is none that promises equal bytes."""
    tag = str(headers.get("ETag", ""))
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified", ""))


def _complete(part: _Unfinished, address: str, target: Path, progress: Progress) -> bool:
    """Ask until everything came, or an attempt brings nothing; return whether the server told where the file ends."""
    broken: Exception | None = None
    for _ in range(_ATTEMPTS):
        before, broken = part.size, None
        try:
            total, is_told = _append(part, address, progress)
            if total is None or part.size == total:
                return is_told
        except urllib.error.HTTPError as error:
            raise FetchError(
                f"{address} answered {error.code} {error.reason}; if the file has moved, put it as '{target}' by hand"
            ) from error
        except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
            broken = error
        if part.size == before:
            break
    reason = f" ({getattr(broken, 'reason', broken)})" if broken else ""
    if part.size:
        resumes = "goes on from there" if part.version else "begins anew, for the server states no version of the file"
        raise FetchError(
            f"the download of {address} broke off after {part.size} bytes{reason}; run the same command again, it "
            f"{resumes}"
        ) from broken
    raise FetchError(
        f"{urlsplit(address).hostname} is out of reach{reason}; on a machine with a network download {address} and put "
        f"the file as '{target}'"
    ) from broken


def _append(part: _Unfinished, address: str, progress: Progress) -> tuple[int | None, bool]:
    """Ask for what is missing and append it.

    Returns:
        How many bytes the whole file has, None where nobody says; and whether the end of the answer can be told from a
        connection that broke: by its length, or as chunks, of which the last is empty.
    """
    with _opened(part, address) as response:
        if response.headers.get_content_type() == "text/html":
            raise FetchError(
                f"{address} answered with a web page instead of a file; log in to this network, or check the address"
            )
        total = _begin(part, response)
        done = part.size
        progress(done, total)
        while chunk := response.read1(_CHUNK):
            part.file.write(chunk)
            part.file.flush()
            done += len(chunk)
            progress(done, total)
        return total, total is not None or response.chunked


def _begin(part: _Unfinished, response: http.client.HTTPResponse) -> int | None:
    """Keep what came where the server goes on from there, else begin anew; return the bytes of the whole file."""
    length = response.headers.get("Content-Length")
    coming = int(length) if length and length.isdecimal() else None
    if told := _goes_on(part, response):
        if told[2] != "*":
            return int(told[2])
        return None if coming is None else part.size + coming
    part.restart(response.headers)
    return coming


def _goes_on(part: _Unfinished, response: http.client.HTTPResponse) -> re.Match[str] | None:
    """Return what an answer says of its range, if it begins where ours ends and states no other version."""
    told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != http.client.PARTIAL_CONTENT or told is None or int(told[1]) != part.size:
        return None
    return told if _version_in(response.headers) in ("", part.version) else None


def _opened(part: _Unfinished, address: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    resumes = bool(part.size and part.version)
    if resumes:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the caller lets http and https through
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        if not resumes or error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.restart()  # There is nothing behind what came, so it is of no version that the server has.
        return _opened(part, address)
    if response.status != http.client.PARTIAL_CONTENT or (resumes and _goes_on(part, response)):
        return response
    response.close()
    part.restart()
    if not resumes:
        raise FetchError(f"{address} answered with a part of the file when asked for all of it; take another address")
    return _opened(part, address)  # Another part than ours goes on with, or of another version: all of it, then.


def _refuse_another(part: _Unfinished, sha256: str | None, address: str, *, is_known_whole: bool) -> None:
    if sha256 is None and not is_known_whole:
        part.discard()
        raise FetchError(
            f"{address} does not say how long the file is, so one that was cut off could not be told; give what its "
            "sha256 must be with --sha256 HEX, or take another address"
        )
    if sha256 is None:
        return
    seen = sha256_of(part.path)
    if seen != sha256:
        part.discard()
        raise FetchError(
            f"{address} gave a file with sha256 {seen}, expected {sha256}; it was removed: check the address and where "
            "the sha256 comes from"
        )


def _refuse_no_weights(part: _Unfinished, address: str) -> None:
    """Refuse nothing, and the page or message that a server sends as a file."""
    with part.path.open("rb") as file:
        beginning = file.read(_BYTES_SEEN)
    if beginning and not beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_TEXT_BEGINNINGS):
        return
    part.discard()
    seen = f"a text that begins with {beginning!r}" if beginning else "an empty file"
    raise FetchError(f"{address} gave {seen}, expected weights; it was removed: check the address")
