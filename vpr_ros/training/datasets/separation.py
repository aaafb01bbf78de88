"""Nothing is judged on what was learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vpr_ros.training.datasets.manifest import MANIFEST, manifest_rows
from vpr_ros.training.datasets.robot import route_of
from vpr_ros.training.datasets.specs import DataSpec, ManifestSpec, PanoramaSpec, RobotSpec
from vpr_ros.training.datasets.views import DataSet
from vpr_ros.training.errors import TrainingError


def refuse_shared(
    learned: Sequence[tuple[DataSpec, DataSet]], judged: Sequence[tuple[DataSpec, DataSet]], root: Path
) -> None:
    """Check that images, named places and routes of the training are none of the validation's.

    Args:
        learned: What the config says of each training set, and the set.
        judged: The same of the validation.
        root: Folder that paths are relative to.

    Raises:
        TrainingError: One is in both.
    """
    for what, of in (("images", _images), ("places", _places), ("routes", _routes)):
        both = [{each for spec, data in sets for each in of(spec, data, root)} for sets in (learned, judged)]
        shared = sorted(both[0] & both[1])
        if shared:
            raise TrainingError(
                f"{len(shared)} {what}, such as '{shared[0]}', are in data.train and in data.validation; expected "
                "other places there: give each its split"
            )


def _images(_spec: DataSpec, data: DataSet, _root: Path) -> Iterable[str]:
    return {str(path.resolve()) for path in set(getattr(data, "paths", ()))}


def _places(spec: DataSpec, _data: DataSet, root: Path) -> Iterable[str]:
    """Return the places that a manifest names, with its folder, since another's names mean others."""
    if not isinstance(spec, ManifestSpec | PanoramaSpec) or not (root / spec.path / MANIFEST).is_file():
        return ()
    folder = (root / spec.path).resolve()
    without = spec.without if isinstance(spec, ManifestSpec) else ""
    rows = manifest_rows(folder, split=spec.split, only_open=spec.only_open, paths=spec.paths, without=without)
    return {f"{folder}: {row['place_id']}" for row in rows}


def _routes(spec: DataSpec, _data: DataSet, _root: Path) -> Iterable[str]:
    return set(map(route_of, spec.sources)) if isinstance(spec, RobotSpec) else ()
