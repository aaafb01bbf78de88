"""Views along drives with true poses, such as the simulated robot's: poses say which views are one place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Pose
from vpr_ros.scoring.poses import STAMP_TOLERANCE_NS
from vpr_ros.sources import open_source
from vpr_ros.training.appearance import ViewSettings
from vpr_ros.training.datasets.specs import RobotSpec
from vpr_ros.training.datasets.views import DataFacts, LabelRule, Role, ViewTable
from vpr_ros.training.errors import TrainingError

# Frames are kept as JPEG: a drive of three hundred would take 280 MB otherwise.
_JPEG_QUALITY = 95
_WIDTH = 400  # of what is kept, in pixels


@dataclass(frozen=True, slots=True, eq=False)
class RobotSet:
    """Frames of drives; see :class:`~vpr_ros.training.datasets.views.DataSet`.

    Attributes:
        encoded: The frame of each view, a JPEG file.
    """

    name: str
    table: ViewTable
    rule: LabelRule
    appearance: ViewSettings
    share: float
    facts: DataFacts
    encoded: tuple[NDArray[np.uint8], ...]
    self_supervised: bool = False

    def read(self, view: int, rng: np.random.Generator | None) -> NDArray[np.uint8]:  # noqa: ARG002  # the protocol's
        """Return the frame."""
        decoded = cv2.imdecode(self.encoded[view], cv2.IMREAD_COLOR)
        assert decoded is not None  # encoded here
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame that was taken."""

    source: int
    pose: Pose
    jpeg: NDArray[np.uint8]


def open_robot(spec: RobotSpec) -> RobotSet:
    """Return the data set of drives; the simulated robot is driven for it now.

    Raises:
        TrainingError: A source carries no poses, or the radii or overlaps don't go together.
        SourceError: A source can't be opened.
    """
    rule = LabelRule(
        spec.positive_radius_m, spec.positive_overlap, spec.negative_radius_m, spec.negative_overlap, spec.fov_deg
    )
    seen = [frame for number, uri in enumerate(spec.sources) for frame in _frames(uri, number, spec)]
    if not seen:
        raise TrainingError("a data set of kind robot has no source, expected at least one, such as 'sim:office'")
    table = _table(seen, spec)
    return RobotSet(
        name=", ".join(dict.fromkeys(map(route_of, spec.sources))),
        table=table,
        rule=rule,
        appearance=spec.views,
        share=spec.share,
        facts=DataFacts(
            about=f"drives with true poses: {', '.join(spec.sources)}",
            images=len(seen),
            places=len(np.unique(table.place)),
            views=len(seen),
        ),
        encoded=tuple(frame.jpeg for frame in seen),
    )


def _frames(uri: str, number: int, spec: RobotSpec) -> Iterator[_Seen]:
    """Yield the frames of one drive, thinned by travel and rotation."""
    with open_source(uri) as source:
        if source.truth is None:
            raise TrainingError(
                f"source '{uri}' carries no true poses, expected the simulated robot or a recording with ground truth"
            )
        last: Pose | None = None
        for frame in source.frames():
            pose = source.truth.at(frame.stamp_ns, STAMP_TOLERANCE_NS)
            if pose is None or (last is not None and not _is_new(pose, last, spec)):
                continue
            last = pose
            yield _Seen(number, pose, _jpeg(frame.image))


def _is_new(pose: Pose, last: Pose, spec: RobotSpec) -> bool:
    return pose.distance_m(last) >= spec.travel_m or pose.angle_rad(last) >= math.radians(spec.turn_deg)


def _jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, round(height * _WIDTH / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1], np.uint8)


def _table(seen: list[_Seen], spec: RobotSpec) -> ViewTable:
    routes = {route: site for site, route in enumerate(dict.fromkeys(map(route_of, spec.sources)))}
    site = np.array([routes[route_of(spec.sources[frame.source])] for frame in seen], np.int64)
    position_m = np.array([frame.pose.translation for frame in seen])
    ahead = np.array([frame.pose.rotation[:, 2] for frame in seen])  # optical frames look along z
    heading_deg = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0])) % 360
    is_database = np.array([frame.source < spec.database for frame in seen])
    roles = np.where(is_database, Role.DATABASE, Role.QUERY if spec.database else Role.EITHER)
    return ViewTable(
        site=site,
        family=site,
        region=site,
        place=cells(site, position_m, heading_deg, spec.positive_radius_m, spec.fov_deg / 2),
        position_m=position_m,
        heading_deg=heading_deg,
        role=roles.astype(np.int8),
    )


def cells(
    site: NDArray[np.int64],
    position_m: NDArray[np.float64],
    heading_deg: NDArray[np.float64],
    size_m: float,
    turn_deg: float,
) -> NDArray[np.int64]:
    """Return the class of each view: a cell of ground and heading, as CosPlace (Berton et al. 2022) cuts them."""
    ground = np.floor(position_m[:, :2] / max(size_m, 1e-9))
    sector = np.floor(np.nan_to_num(heading_deg) / turn_deg)
    return (
        np.unique(np.column_stack((site, ground, sector)), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    )


def route_of(uri: str) -> str:
    """Return what of a source's address says where it was driven: all but its settings."""
    return uri.partition("?")[0]
