"""The folder layout of the TUM RGB-D benchmark (Sturm et al. 2012): ``rgb.txt`` lists images and their stamps."""

from __future__ import annotations

from pathlib import Path

from vpr_ros.core import NS_PER_S, Trajectory, TrajectoryError, read_tum_trajectory
from vpr_ros.sources.image_folder import (
    ImageFolder,
    check_stays_inside,
    list_lines,
    listed_stamp_ns,
    nearest_stamps,
    read_camera_beside,
)
from vpr_ros.sources.source import SourceError, SourceOptions

IMAGE_LIST, DEPTH_LIST, TRUTH_FILE = "rgb.txt", "depth.txt", "groundtruth.txt"
# Units a metre, https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats
_DEPTH_SCALE = 5000.0


def read_tum_folder(folder: Path, options: SourceOptions) -> ImageFolder:
    """Return what a folder in TUM RGB-D layout holds.

    Args:
        folder: Has ``rgb.txt``; may have ``depth.txt``, ``camera.yaml`` and ``groundtruth.txt``.
        options: Depth scale, and how far depth may be from its image in time.

    Raises:
        SourceError: A list can't be read or leads out of the folder, or nothing it lists is there.
    """
    if options.rate_hz is not None:
        raise SourceError(f"{folder} has its stamps in {IMAGE_LIST}, and a rate is given besides; leave out --rate-hz")
    stamps_ns, images = _read_list(folder, IMAGE_LIST)
    return ImageFolder(
        images=images,
        stamps_ns=stamps_ns,
        depths=_depths(folder, stamps_ns, options),
        depth_scale=options.depth_scale or _DEPTH_SCALE,
        camera=read_camera_beside(folder),
        truth=_truth(folder),
    )


def _read_list(folder: Path, name: str) -> tuple[tuple[int, ...], tuple[Path, ...]]:
    stamps_ns, files = [], []
    for place, line in list_lines(folder / name):
        stamp, *file = line.split(maxsplit=1)
        if not file:
            raise SourceError(f"{place}: '{line}' is no entry, expected a stamp in seconds and a file name")
        check_stays_inside(file[0], place)
        stamps_ns.append(listed_stamp_ns(stamp, place))
        files.append(folder / file[0])
    if not any(file.exists() for file in files):
        raise SourceError(
            f"{folder / name} lists {len(files)} images and none of them is in {folder}; unpack them beside the list"
        )
    return tuple(stamps_ns), tuple(files)


def _depths(folder: Path, stamps_ns: tuple[int, ...], options: SourceOptions) -> tuple[Path | None, ...]:
    if not (folder / DEPTH_LIST).is_file():
        if options.depth_scale is not None:
            raise SourceError(f"a depth scale is given, but {folder} has no {DEPTH_LIST}; leave out --depth-scale")
        return ()
    depth_stamps_ns, depths = _read_list(folder, DEPTH_LIST)
    nearest = nearest_stamps(stamps_ns, depth_stamps_ns, round(options.sync_tolerance_s * NS_PER_S))
    if not (nearest >= 0).any():
        raise SourceError(
            f"none of the {len(depths)} entries of {folder / DEPTH_LIST} is within {options.sync_tolerance_s:g} s "
            f"of an image of {IMAGE_LIST}, expected one clock for both; move {DEPTH_LIST} away to go without depth"
        )
    return tuple(depths[position] if position >= 0 else None for position in nearest.tolist())


def _truth(folder: Path) -> Trajectory | None:
    path = folder / TRUTH_FILE
    if not path.is_file():
        return None
    try:
        return read_tum_trajectory(path)
    except TrajectoryError as error:
        raise SourceError(f"{error}; mend it, or move it away to go on without truth") from error
    except ArithmeticError as error:  # a stamp that no integer of 64 bits holds
        raise SourceError(f"{path} holds a stamp that is no time ({error}); mend it, or move it away") from error
