"""What a trainable network is put together of, as plain values that a config and a checkpoint hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from vpr_ros.encoders.errors import EncoderError

BackboneName = Literal[
    "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "resnet18", "resnet34", "resnet50", "vgg16"
]
HeadKind = Literal["mixvpr", "netvlad", "gem", "average", "grid"]
MapName = Literal["stride16", "last"]
ProjectionKind = Literal["none", "linear", "pca"]

# Which settings mean something for which head, beside map and weight.
_APPLYING: dict[HeadKind, tuple[str, ...]] = {
    "mixvpr": ("dim", "out_rows", "depth", "moved_columns"),
    "netvlad": ("clusters",),
    "gem": ("learn_p",),
    "average": (),
    "grid": ("rows", "columns", "moved_columns"),
}
_STRIDE = 32
_LARGEST_SIZE = 1024  # MixVPR's mixers grow with its fourth power: at 1024 pixels one weight takes 67 MB.


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One aggregation of one map of the backbone.

    Attributes:
        kind: Which aggregator.
        map: The backbone's map at stride 16, or its last one.
        weight: Length of its part in the descriptor, before the whole is brought to unit length.
        dim: MixVPR: values of its part.
        out_rows: MixVPR: rows that positions are projected to; dim / out_rows are the channels.
        depth: MixVPR: mixer blocks.
        clusters: NetVLAD: K.
        learn_p: GeM: whether the exponent is learned from 3 on; else it stays 3.
        rows: Grid: cells from top to bottom.
        columns: Grid: cells from left to right.
        moved_columns: MixVPR and grid, which keep positions: the map is also seen moved to the right by each of these
            numbers of columns (to the left where negative; one of stride 16 is 16 pixels), its edge repeated, and the
            mean of all is the head's part. A step aside changes that less.

    Raises:
        EncoderError: A value out of range, or one that says nothing about this kind.
    """

    kind: HeadKind
    map: MapName = "stride16"
    weight: float = 1.0
    dim: int = 512
    out_rows: int = 2
    depth: int = 4
    clusters: int = 16
    learn_p: bool = False
    rows: int = 4
    columns: int = 4
    moved_columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the values once."""
        check_choice("head kind", self.kind, get_args(HeadKind))
        check_choice(f"map of head '{self.kind}'", self.map, get_args(MapName))
        if not self.weight > 0:
            raise EncoderError(f"head '{self.kind}' has weight {self.weight:g}, expected above 0; leave the head out")
        numbers = ("dim", "out_rows", "depth", "clusters", "rows", "columns")
        for name in numbers:
            if getattr(self, name) < 1:
                raise EncoderError(f"head '{self.kind}' has {name} {getattr(self, name)}, expected at least 1")
        if self.dim % self.out_rows:
            raise EncoderError(
                f"head '{self.kind}' has dim {self.dim} and out_rows {self.out_rows}, expected a dim that out_rows "
                "divides, such as 512 and 2"
            )
        if 0 in self.moved_columns or len(set(self.moved_columns)) < len(self.moved_columns):
            raise EncoderError(
                f"head '{self.kind}' has moved_columns {list(self.moved_columns)}, expected different numbers, none of "
                "them 0 (the map as it is always counts), such as [-4, 4]"
            )
        for each in fields(self):
            ignored = each.name not in ("kind", "map", "weight", *_APPLYING[self.kind])
            if ignored and getattr(self, each.name) != each.default:
                raise EncoderError(
                    f"head '{self.kind}' has {each.name}, which says nothing about it; it takes map, weight"
                    f"{''.join(f', {name}' for name in _APPLYING[self.kind])}"
                )


def moved_further(spec: NetworkSpec, moved_columns: tuple[int, ...]) -> NetworkSpec:
    """Return a spec whose heads with ``moved_columns`` have others.

    Raises:
        EncoderError: No head has any, or these can't be.
    """
    heads = tuple(replace(h, moved_columns=moved_columns) if h.moved_columns else h for h in spec.heads)
    if heads == spec.heads:
        raise EncoderError(
            f"fitting.moved_columns {list(moved_columns)} change no head; expected a head that has moved_columns, "
            "and others than it has"
        )
    return replace(spec, heads=heads)


@dataclass(frozen=True, slots=True)
class ProjectionSpec:
    """A last linear map of the joined heads.

    Attributes:
        kind: ``linear`` is trained with the network, ``pca`` fitted to descriptors of training views afterwards.
        dim: Values it leaves.
        whitened: PCA: whether the kept directions are brought to equal variance, or only rotated.
    """

    kind: ProjectionKind = "none"
    dim: int = 512
    whitened: bool = False

    def __post_init__(self) -> None:
        """Check the values once."""
        check_choice("projection kind", self.kind, get_args(ProjectionKind))
        if self.dim < 1:
            raise EncoderError(f"projection has dim {self.dim}, expected at least 1")


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A backbone, aggregators on its maps, and what joins them.

    Attributes:
        backbone: Which one.
        heads: Their parts are joined in this order.
        projection: What follows the joined heads.
        input_size: Pixels of both sides of the input, a multiple of 32.

    Raises:
        EncoderError: No head, or an input size that does not divide.
    """

    backbone: BackboneName
    heads: tuple[HeadSpec, ...]
    projection: ProjectionSpec = field(default_factory=ProjectionSpec)
    input_size: int = 320

    def __post_init__(self) -> None:
        """Check the values once."""
        check_choice("backbone", self.backbone, get_args(BackboneName))
        if not self.heads:
            raise EncoderError("the network has no head; give at least one, such as {kind: mixvpr}")
        if not _STRIDE <= self.input_size <= _LARGEST_SIZE or self.input_size % _STRIDE:
            raise EncoderError(
                f"input_size is {self.input_size} pixels, expected a multiple of {_STRIDE} such as 320 or 224, "
                f"at most {_LARGEST_SIZE}"
            )

    @property
    def needs_last_map(self) -> bool:
        """Whether a head takes the last map; else the backbone ends at stride 16."""
        return any(head.map == "last" for head in self.heads)


def check_choice(what: str, value: str, allowed: Iterable[str]) -> None:
    """Check one word.

    Raises:
        EncoderError: It is none of those allowed; names them.
    """
    if value not in allowed:
        raise EncoderError(f"{what} is '{value}', expected one of {', '.join(allowed)}")
