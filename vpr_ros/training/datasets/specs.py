"""What a config says of a data set: one group of values a layout, and the table of layouts."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import TypeAlias

from vpr_ros.training.appearance import MILD, STRONG, ViewSettings
from vpr_ros.training.errors import TrainingError

# Where panoramas lie among what a manifest names; a folder without one may have any names.
USUAL_PANORAMAS = "panoramas/*"


@dataclass(frozen=True, slots=True)
class ManifestSpec:
    """Images listed in a ``manifest.csv``: the columns path and place_id, and maybe source, licence, split, open, site.

    Attributes:
        path: Folder of the manifest.
        split: Only rows of this split; empty for all.
        only_open: Only rows whose ``open`` is yes.
        paths: Pattern that a row's path must fit.
        without: Pattern that it must not fit; empty for none.
        one_site: Patterns of place names; the places that fit one are of one site, as by the column site.
        numbered_site: Whether places whose names differ in their last numbers alone are of one site, such as pieces of
            one video.
        self_supervised: Whether a place may have one image, whose variations are then its views.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    path: str = "."
    split: str = ""
    only_open: bool = False
    paths: str = "*"
    without: str = USUAL_PANORAMAS
    one_site: tuple[str, ...] = ()
    numbered_site: bool = False
    self_supervised: bool = False
    share: float = 1.0
    views: ViewSettings = MILD


@dataclass(frozen=True, slots=True)
class PanoramaSpec:
    """Equirectangular panoramas, each of which is several places: one for each heading.

    Attributes:
        path: Folder with ``manifest.csv``, or a folder of panoramas.
        split: Only rows of this split; empty for all.
        only_open: Only rows whose ``open`` is yes.
        paths: Pattern that a row's path must fit; without a manifest that of each file, and the usual one fits all.
        one_site: Patterns of place names; the places that fit one are of one site, as by the column site.
        numbered_site: Whether places whose names differ in their last numbers alone are of one site, such as pieces of
            one video.
        headings: Places around each panorama.
        views_a_heading: Views of each.
        jitter_deg: How far a view's heading is from its place's.
        fov_deg: Smallest and largest horizontal field of view.
        pitch_deg: Largest pitch, up or down.
        roll_deg: Largest roll.
        width: Of a view in pixels.
        height: Of a view in pixels.
        positive_overlap: Views are one place with at least this overlap,
        negative_overlap: and two places with at most this one.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    path: str = "."
    split: str = ""
    only_open: bool = False
    paths: str = USUAL_PANORAMAS
    one_site: tuple[str, ...] = ()
    numbered_site: bool = False
    headings: int = 8
    views_a_heading: int = 6
    jitter_deg: float = 12.0
    fov_deg: tuple[float, float] = (62.0, 98.0)
    pitch_deg: float = 8.0
    roll_deg: float = 4.0
    width: int = 400
    height: int = 300
    positive_overlap: float = 0.65
    negative_overlap: float = 0.25
    share: float = 1.0
    views: ViewSettings = field(default_factory=ViewSettings)

    def __post_init__(self) -> None:
        """Check the values once."""
        if len(self.fov_deg) != 2 or not 10 <= self.fov_deg[0] <= self.fov_deg[1] <= 150:
            raise TrainingError(f"fov_deg is {list(self.fov_deg)}, expected smallest and largest within 10 to 150")
        for name in ("jitter_deg", "pitch_deg", "roll_deg"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} is {getattr(self, name):g}, expected at least 0")
        if not (16 <= self.width <= 4096 and 16 <= self.height <= 4096):
            raise TrainingError(f"width is {self.width} and height {self.height}, expected 16 to 4096 pixels")
        if self.headings < 1 or self.views_a_heading < 2:
            raise TrainingError(
                f"headings is {self.headings} and views_a_heading {self.views_a_heading}; expected 1 and 2 or more"
            )


@dataclass(frozen=True, slots=True)
class RobotSpec:
    """Recordings that carry true poses: the simulated robot, or any other source with truth.

    Attributes:
        sources: As ``vpr_ros loops`` takes them, such as ``sim:office?light=night``. Sources of one route (what stands
            before the question mark) share one frame, so that a place by day and by night is one.
        database: In validation, how many of the first sources are searched; the others ask. 0: every view is both.
        travel_m: A frame is taken after this much travel,
        turn_deg: or this much rotation.
        positive_radius_m: Views are one place within this distance,
        positive_overlap: and with at least this overlap;
        negative_radius_m: two places from this distance on,
        negative_overlap: or with at most this overlap.
        fov_deg: Horizontal field of view; 90 is the simulated robot's.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    sources: tuple[str, ...]
    database: int = 0
    travel_m: float = 0.35
    turn_deg: float = 12.0
    positive_radius_m: float = 1.0
    positive_overlap: float = 0.65
    negative_radius_m: float = 4.0
    negative_overlap: float = 0.2
    fov_deg: float = 90.0
    share: float = 1.0
    views: ViewSettings = field(default_factory=lambda: ViewSettings(night=0.1, sideways=0.2))


@dataclass(frozen=True, slots=True)
class GsvCitiesSpec:
    """GSV-Cities (Ali-bey et al. 2022): ``Dataframes/CITY.csv`` and ``Images/CITY/``.

    Attributes:
        path: Its folder.
        cities: Which; empty for all there are.
        least_images: Places with fewer are left out.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    path: str
    cities: tuple[str, ...] = ()
    least_images: int = 4
    share: float = 1.0
    views: ViewSettings = MILD


@dataclass(frozen=True, slots=True)
class MslsSpec:
    """Mapillary Street-Level Sequences (Warburg et al. 2020): ``train_val/CITY/{query,database}/``.

    Attributes:
        path: Its folder.
        cities: Which; empty for all there are.
        positive_radius_m: One place within this distance,
        positive_overlap: and with at least this overlap of the compass angles;
        negative_radius_m: two places from this distance on,
        negative_overlap: or with at most this overlap.
        fov_deg: Horizontal field of view.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    path: str
    cities: tuple[str, ...] = ()
    positive_radius_m: float = 10.0
    positive_overlap: float = 0.6
    negative_radius_m: float = 25.0
    negative_overlap: float = 0.15
    fov_deg: float = 75.0
    share: float = 1.0
    views: ViewSettings = MILD


@dataclass(frozen=True, slots=True)
class UtmSpec:
    """Folders of images named ``@utm_east@utm_north@...@heading@...``; ``database`` and ``queries`` name the roles.

    Attributes:
        path: Its folder, such as ``images/train``.
        positive_radius_m: One place within this distance,
        positive_overlap: and with at least this overlap, where names hold headings;
        negative_radius_m: two places from this distance on,
        negative_overlap: or with at most this overlap.
        fov_deg: Horizontal field of view.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    path: str
    positive_radius_m: float = 10.0
    positive_overlap: float = 0.6
    negative_radius_m: float = 25.0
    negative_overlap: float = 0.15
    fov_deg: float = 75.0
    share: float = 1.0
    views: ViewSettings = MILD


@dataclass(frozen=True, slots=True)
class PhotosSpec:
    """A folder of photographs without places; strong variations of one are one place.

    Attributes:
        path: Its folder, searched to its depth.
        part: From where to where in the plain order of their paths, as shares of all, so that one folder can be learned
            from and judged on: photographs in a row show one thing and should be on one side.
        share: Of a batch's places, relative to the other sets.
        views: How their look is varied.
    """

    path: str
    part: tuple[float, ...] = (0.0, 1.0)
    share: float = 1.0
    views: ViewSettings = STRONG

    def __post_init__(self) -> None:
        """Check the values once."""
        if len(self.part) != 2 or not 0 <= self.part[0] < self.part[1] <= 1:
            raise TrainingError(
                f"part is {list(self.part)}, expected two rising shares within 0 to 1, such as [0, 0.9]"
            )


DataSpec: TypeAlias = ManifestSpec | PanoramaSpec | RobotSpec | GsvCitiesSpec | MslsSpec | UtmSpec | PhotosSpec

SPECS: dict[str, type[DataSpec]] = {
    "manifest": ManifestSpec,
    "panoramas": PanoramaSpec,
    "robot": RobotSpec,
    "gsv_cities": GsvCitiesSpec,
    "msls": MslsSpec,
    "utm_folders": UtmSpec,
    "photos": PhotosSpec,
}


def usual_views(spec: type[DataSpec]) -> ViewSettings:
    """Return how a layout's looks are varied where a config says nothing."""
    views = next(each for each in fields(spec) if each.name == "views")
    usual = views.default if views.default_factory is MISSING else views.default_factory()
    assert isinstance(usual, ViewSettings)
    return usual
