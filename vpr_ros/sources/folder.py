"""Folders of images as a source: flat, ``rgb/`` with depth, or TUM RGB-D."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import starmap
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import NS_PER_S, Camera, Frame, Trajectory
from vpr_ros.sources.image_file import IMAGE_SUFFIXES, ImageFileError, read_depth, read_image
from vpr_ros.sources.image_folder import (
    ImageFolder,
    check_stays_inside,
    list_lines,
    listed_stamp_ns,
    nearest_stamps,
    read_camera_beside,
    stamps_from_names,
)
from vpr_ros.sources.source import SourceError, SourceOptions
from vpr_ros.sources.tum import IMAGE_LIST, read_tum_folder
from vpr_ros.sources.window import window_of_stamps

_LOG = logging.getLogger(__name__)
_IMAGES, _DEPTHS, _TIMES = "rgb", "depth", "times.txt"
_DEPTH_SCALE = 1000.0  # units a metre where nobody says otherwise: ROS's 16UC1 is in mm (REP 118)


class FolderSource:
    """Images of a folder, in order.

    Attributes:
        uri: As the user gave it.
        truth: Reference poses of a TUM RGB-D folder, None elsewhere.
        drops: Causes and counts of the latest pass over the frames.
        names: File names of all images, by ``Frame.index``.
    """

    def __init__(self, uri: str, folder: ImageFolder, chosen: range) -> None:
        """Take what a folder holds.

        Args:
            uri: As the user gave it.
            folder: Images and what belongs to them.
            chosen: Positions of the images to give.
        """
        self.uri = uri
        self.truth: Trajectory | None = folder.truth
        self.drops: Counter[str] = Counter()
        self.names = tuple(path.name for path in folder.images)
        self._folder = folder
        self._chosen = chosen

    def __len__(self) -> int:
        """Return the number of images to give, whole or not."""
        return len(self._chosen)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order; what is broken is counted in ``drops`` and leaves a gap in ``Frame.index``.

        Raises:
            SourceError: Not one image could be read.
        """
        self.drops.clear()
        frames = 0
        for index in self._chosen:
            frame = self._frame(index)
            if frame is not None:
                frames += 1
                yield frame
        if not frames:
            causes = ", ".join(f"{count} {cause}" for cause, count in self.drops.items())
            raise SourceError(f"none of the {len(self)} images of {self.uri} can be read ({causes}); copy them again")

    def close(self) -> None:
        """Do nothing: a file is open only while it is read."""

    def __enter__(self) -> FolderSource:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _frame(self, index: int) -> Frame | None:
        stamps_ns = self._folder.stamps_ns
        image = self._image(index)
        if image is None:
            return None
        return Frame(
            index=index,
            stamp_ns=index * NS_PER_S if stamps_ns is None else stamps_ns[index],
            image=image,
            camera=self._camera(image.shape[:2]),
            depth_m=self._depth(index, image.shape[:2]),
            timed=stamps_ns is not None,
        )

    def _image(self, index: int) -> NDArray[np.uint8] | None:
        try:
            return read_image(self._folder.images[index])
        except ImageFileError as error:
            self._drop("corrupt image", error)
        except OSError as error:
            self._drop("unreadable image", error)
        return None

    def _camera(self, size: tuple[int, ...]) -> Camera | None:
        camera = self._folder.camera
        if camera is not None and (camera.height, camera.width) != size:
            self._drop("calibration of another size than the image", f"{camera.height, camera.width}, {size}")
            return None
        return camera

    def _depth(self, index: int, size: tuple[int, ...]) -> NDArray[np.float32] | None:
        if not self._folder.depths:
            return None
        path = self._folder.depths[index]
        if path is None:
            self._drop("no depth near the image in time", self.names[index])
            return None
        try:
            depth_m = read_depth(path, self._folder.depth_scale)
        except (ImageFileError, OSError) as error:
            self._drop("corrupt or unreadable depth", error)
            return None
        if depth_m.shape != size:
            self._drop("depth of another size than the image", f"{path}: {depth_m.shape}, {size}")
            return None
        return depth_m

    def _drop(self, cause: str, seen: object) -> None:
        self.drops[cause] += 1
        _LOG.info("%s: %s", cause, seen)


def open_folder(path: Path, uri: str, options: SourceOptions) -> FolderSource:
    """Return the source of a folder, whichever layout it has.

    Args:
        path: The folder.
        uri: As the user gave it.
        options: Rate, depth scale, tolerance and window.

    Raises:
        SourceError: It can't be read, holds no image, or its parts do not fit each other.
    """
    try:
        folder = _read_folder(path, options)
    except OSError as error:
        raise SourceError(f"can't read folder {path}: {error}; check its permissions") from error
    return FolderSource(uri, folder, window_of_stamps(folder.stamps_ns, len(folder.images), options))


def _read_folder(path: Path, options: SourceOptions) -> ImageFolder:
    if (path / IMAGE_LIST).is_file():
        return read_tum_folder(path, options)
    if (path / _IMAGES).is_dir():
        return _read_rgb_folder(path, options)
    if options.depth_scale is not None:
        raise SourceError(f"a depth scale is given, but {path} is a flat folder without depth; leave out --depth-scale")
    images = _images_in(path)
    stamps_ns = _own_stamps(path, images) if options.rate_hz is None else _even_stamps(len(images), options.rate_hz)
    return ImageFolder(images, stamps_ns, camera=read_camera_beside(path))


def _read_rgb_folder(path: Path, options: SourceOptions) -> ImageFolder:
    images = _images_in(path / _IMAGES)
    has_depth = (path / _DEPTHS).is_dir()
    if options.depth_scale is not None and not has_depth:
        raise SourceError(f"a depth scale is given, but {path} has no {_DEPTHS}/; leave out --depth-scale")
    # Names are the images' own times also where they are not in order and a rate is given.
    own_ns = _own_stamps(path, images) if options.rate_hz is None or has_depth else None
    return ImageFolder(
        images=images,
        stamps_ns=own_ns if options.rate_hz is None else _even_stamps(len(images), options.rate_hz),
        depths=_depths(path / _DEPTHS, images, own_ns, options) if has_depth else (),
        depth_scale=options.depth_scale or _DEPTH_SCALE,
        camera=read_camera_beside(path),
    )


def _images_in(folder: Path) -> tuple[Path, ...]:
    """Return the images in plain name order; a broken link is one that can't be read, not one that is not there."""
    paths = sorted(folder.iterdir(), key=lambda path: path.name)
    images = tuple(path for path in paths if _is_image_name(path) and (path.is_file() or not path.exists()))
    if images:
        return images
    inside = [path.name + "/" * path.is_dir() for path in paths if not path.name.startswith(".")]
    seen = f"only {', '.join(inside[:5])}{' and more' if len(inside) > 5 else ''}" if inside else "nothing"
    advice = "give one of its folders" if any(name.endswith("/") for name in inside) else "give another folder"
    raise SourceError(
        f"{folder} holds no image, {seen}; expected {', '.join(sorted(IMAGE_SUFFIXES))}, or {_IMAGES}/, or "
        f"{IMAGE_LIST}; {advice}"
    )


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _even_stamps(count: int, rate_hz: float) -> tuple[int, ...]:
    return tuple(round(index * NS_PER_S / rate_hz) for index in range(count))


def _own_stamps(folder: Path, images: tuple[Path, ...]) -> tuple[int, ...] | None:
    """Return the stamps that ``times.txt`` or else the names give, None where neither says."""
    path = folder / _TIMES
    if not path.is_file():
        return stamps_from_names([image.name for image in images])
    stamps_ns = dict(starmap(_timed_name, list_lines(path)))
    if missing := [image.name for image in images if image.name not in stamps_ns]:
        raise SourceError(
            f"{path} has no line for {len(missing)} of {len(images)} images, such as '{missing[0]}'; "
            "expected 'name stamp_s' for each"
        )
    return tuple(stamps_ns[image.name] for image in images)


def _timed_name(place: str, line: str) -> tuple[str, int]:
    name, *stamp = line.rsplit(maxsplit=1)
    if not stamp:
        raise SourceError(f"{place}: '{line}' is no entry, expected 'name stamp_s'")
    check_stays_inside(name, place)
    return name, listed_stamp_ns(stamp[0], place)


def _depths(
    folder: Path, images: tuple[Path, ...], stamps_ns: tuple[int, ...] | None, options: SourceOptions
) -> tuple[Path | None, ...]:
    """Return the depth file of each image: the one of the same stem, else the nearest in time."""
    files = _images_in(folder)
    by_stem = {file.stem: file for file in files}
    depths = [by_stem.get(image.stem) for image in images]
    files_ns = stamps_from_names([file.name for file in files])
    if stamps_ns is not None and files_ns is not None:
        nearest = nearest_stamps(stamps_ns, files_ns, round(options.sync_tolerance_s * NS_PER_S)).tolist()
        near = (files[position] if position >= 0 else None for position in nearest)
        depths = [same or close for same, close in zip(depths, near, strict=True)]
    if not any(depths):
        raise SourceError(
            f"none of the {len(files)} images in {folder} belongs to one of {_IMAGES}/, expected the same names or "
            f"stamps within {options.sync_tolerance_s:g} s; rename them, or move {_DEPTHS}/ away to go without depth"
        )
    return tuple(depths)
