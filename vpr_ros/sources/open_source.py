"""From a path or URI to the source that reads it: the one table of kinds, and who opens which."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from vpr_ros.sources.folder import open_folder
from vpr_ros.sources.simulator import RouteFacts, open_simulator, routes
from vpr_ros.sources.source import Source, SourceError, SourceOptions
from vpr_ros.sources.video import open_video

ROBOT_SCHEME = "sim:"
_BAG_SUFFIXES = (".bag", ".db3", ".mcap")
_VIDEO_SUFFIXES = (
    ".avi",
    ".h264",
    ".h265",
    ".m4v",
    ".mjpeg",
    ".mjpg",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".webm",
)
_BAG_FACTS, _BAG_KEY = "metadata.yaml", b"rosbag2_bagfile_information"
_SQLITE_HEADER = b"SQLite format 3\x00"
_DEFAULTS = SourceOptions()


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source.

    Attributes:
        name: In one or two words.
        about: What it may look like.
        examples: What a user may give as SOURCE.
        options: Fields of ``SourceOptions`` that apply to it, beside ``from_s`` and ``to_s``, which apply to all.
    """

    name: str
    about: str
    examples: tuple[str, ...]
    options: tuple[str, ...] = ()


BAG = SourceKind(
    name="bag",
    about="ROS 2 bag (its folder, .mcap or .db3) or ROS 1 bag (.bag)",
    examples=("my_bag/", "monday.mcap --image-topic /front/image_raw"),
    options=("image_topic", "info_topic", "depth_topic", "odom_topic", "sync_tolerance_s"),
)
FOLDER = SourceKind(
    name="folder",
    about="images in name order, or rgb/ with depth/, camera.yaml and times.txt, or TUM RGB-D (rgb.txt, depth.txt)",
    examples=("images/ --rate-hz 10", "rgbd_dataset_freiburg1_desk/"),
    options=("rate_hz", "depth_scale", "sync_tolerance_s"),
)
VIDEO = SourceKind(
    name="video",
    about=f"what FFmpeg reads ({' '.join(_VIDEO_SUFFIXES)})",
    examples=("drive.mp4", "drive.avi --rate-hz 20"),
    options=("rate_hz",),
)
ROBOT = SourceKind(
    name="simulated robot",
    about=f"a drive along a route, {ROBOT_SCHEME}ROUTE, with odometry and exact poses",
    examples=(f"'{ROBOT_SCHEME}office?laps=2'", f"'{ROBOT_SCHEME}office?light=night_lap2&seed=3' --poses source"),
)
KINDS = (BAG, FOLDER, VIDEO, ROBOT)


@dataclass(frozen=True, slots=True)
class SourceList:
    """The outcome of ``vpr_ros sources``: what there is to open."""

    kinds: tuple[SourceKind, ...]
    routes: tuple[RouteFacts, ...]


def list_sources() -> SourceList:
    """Return every kind of source, and every route of the simulated robot."""
    return SourceList(KINDS, routes())


def open_source(uri: str, options: SourceOptions = _DEFAULTS) -> Source:
    """Open a recording or start a simulated robot.

    Args:
        uri: A path (``~`` is the home folder) or ``sim:ROUTE``; what lies there decides which kind it is.
        options: How it is read. One that says nothing about this kind of source is refused.

    Raises:
        SourceError: It is not there, of no known kind, can't be read, or an option is wrong or does not apply.
    """
    _check_values(options)
    if uri.startswith(ROBOT_SCHEME):
        _check_apply(options, ROBOT, uri)
        return open_simulator(uri, options)
    path = _existing(uri)
    kind = _kind_of(path)
    _check_apply(options, kind, uri)
    if kind is BAG:
        from vpr_ros.sources.bag import BagSource  # rosbags takes long to load

        return BagSource.open(path, uri, options)
    return open_folder(path, uri, options) if kind is FOLDER else open_video(path, uri, options)


def _kind_of(path: Path) -> SourceKind:
    try:
        if path.is_dir():
            return BAG if _is_bag_folder(path) else FOLDER
        if not path.is_file():  # reading a pipe or a device would wait for ever
            raise SourceError(f"{path} is neither a file nor a folder, {_expected()}")
        suffix = path.suffix.lower()
        if suffix in _BAG_SUFFIXES:
            return BAG
        if suffix in _VIDEO_SUFFIXES:
            return VIDEO
        if _begins_with(path, _SQLITE_HEADER):
            raise SourceError(
                f"{path} is an SQLite database, such as RTAB-Map's, which is not in this version; expected a bag, a "
                "folder or a video: export the images and poses from it, and give that folder"
            )
    except OSError as error:
        raise SourceError(f"can't read {path}: {error}; check its permissions") from error
    raise SourceError(f"{path} is of no known kind, {_expected()}")


def _is_bag_folder(folder: Path) -> bool:
    if any(path.suffix in (".db3", ".mcap") for path in folder.iterdir()):
        return True
    facts = folder / _BAG_FACTS
    return facts.is_file() and _begins_with(facts, _BAG_KEY)


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _existing(uri: str) -> Path:
    if not uri.strip():
        raise SourceError(f"the source is an empty name, {_expected()}")
    try:
        path = Path(uri).expanduser()
        if path.exists():
            return path
        raise SourceError(f"there is no '{uri}'{_guess(path)}, {_expected()}")
    except (OSError, RuntimeError) as error:  # RuntimeError: the home folder of a user who is not there
        raise SourceError(f"can't read '{uri}': {error}; {_expected()}") from error


def _guess(path: Path) -> str:
    """Return the nearest name that is there, in words, for the first part of a path that is not."""
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    close = get_close_matches(missing.name, [there.name for there in missing.parent.iterdir()], n=1)
    return f" (did you mean '{missing.parent / close[0]}'?)" if close else ""


def _expected() -> str:
    return (
        f"expected a bag (folder, {', '.join(_BAG_SUFFIXES)}), a folder of images, a video or {ROBOT_SCHEME}ROUTE; "
        "'vpr_ros sources' explains"
    )


def _check_values(options: SourceOptions) -> None:
    for name in ("rate_hz", "depth_scale"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise SourceError(f"{_flag(name)} is {value:g}, expected a positive number")
    if not 0 <= options.sync_tolerance_s < math.inf:
        raise SourceError(f"{_flag('sync_tolerance_s')} is {options.sync_tolerance_s:g}, expected 0 or more seconds")
    if not 0 <= options.from_s < math.inf:
        raise SourceError(f"--from-s is {options.from_s:g}, expected 0 or more seconds after the first image")
    if options.to_s is not None and not options.from_s <= options.to_s < math.inf:
        raise SourceError(f"--to-s is {options.to_s:g}, expected a time after --from-s ({options.from_s:g} s)")


def _check_apply(options: SourceOptions, kind: SourceKind, uri: str) -> None:
    """Refuse an option that would be ignored in silence."""
    for name in (field.name for field in fields(SourceOptions)):
        is_given = getattr(options, name) != getattr(_DEFAULTS, name)
        if is_given and name not in (*kind.options, "from_s", "to_s"):
            applying = " and ".join(other.name for other in KINDS if name in other.options)
            raise SourceError(
                f"{_flag(name)} says nothing about a {kind.name} such as '{uri}', expected it with a {applying}; "
                "leave it out"
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
