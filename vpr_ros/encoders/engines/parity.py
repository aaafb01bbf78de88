"""Whether an engine computes what the reference computes: the same descriptors, and the same neighbours."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vpr_ros.core import Recipe
from vpr_ros.encoders.encoding import Encoding
from vpr_ros.encoders.engines.engine import Engine, Precision
from vpr_ros.encoders.errors import EncoderError
from vpr_ros.encoders.preprocessing import Preprocessing

# What an arithmetic may cost, as the cosine to fp32 of the worst image.
LEAST_COSINE: dict[Precision, float] = {"fp32": 0.9999, "fp16": 0.999, "bf16": 0.999, "int8": 0.99}
_NEIGHBOURS = 10
# A query, and one more image than neighbours are compared: the last may fall out of the list.
_PROBES = 1 + _NEIGHBOURS + 1
# Cells a side of the made-up pictures' layers with their weight, coarse to fine as in photographs.
_LAYERS = ((3, 1.0), (6, 0.7), (12, 0.5), (40, 0.35), (100, 0.2))
_PICTURE = 256  # pixels a side
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True)
class Parity:
    """How close an engine comes to the reference.

    Attributes:
        precision: What it computes in.
        least_cosine: Of a descriptor to the reference's, over all images.
        least_map_cosine: The same of the feature map; None where there is none.
        same_order: Whether the ten nearest images are the same in the same order. Two that the reference holds apart
            by less than the precision may cost (0.001 for fp16) are a draw and may stand either way.
    """

    precision: Precision
    least_cosine: float
    least_map_cosine: float | None
    same_order: bool

    @classmethod
    def between(cls, ours: Sequence[Encoding], reference: Sequence[Encoding], precision: Precision) -> Parity:
        """Compare encodings of the same images; the first is the query that the others are neighbours of."""
        a, b = _unit_rows(ours), _unit_rows(reference)
        maps = [_cosine(x.feature_map, y.feature_map) for x, y in zip(ours, reference, strict=True)]
        known = [cosine for cosine in maps if cosine is not None]
        tie = 1 - LEAST_COSINE[precision]
        return cls(
            precision=precision,
            least_cosine=float((a * b).sum(axis=1).min()),
            least_map_cosine=min(known) if known else None,
            same_order=_same_order(a[1:] @ a[0], b[1:] @ b[0], tie),
        )

    @property
    def objection(self) -> str:
        """Say what is wrong with the figures; empty where nothing is."""
        least = LEAST_COSINE[self.precision]
        if not self.least_cosine >= least:  # NaN too
            return f"descriptors reach a cosine of {self.least_cosine:.5f}, expected at least {least}"
        if self.least_map_cosine is not None and not self.least_map_cosine >= least:
            return f"feature maps reach a cosine of {self.least_map_cosine:.5f}, expected at least {least}"
        if not self.same_order:
            return f"{_NEIGHBOURS} nearest images come in another order (descriptors reach {self.least_cosine:.5f})"
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What an engine gave for some inputs. It holds no engine, so that two need not be in memory at once.

    Attributes:
        engine: Its name.
        encodings: One an input.
        least_ms: Time of its fastest pass, in ms: what else the machine did in the meantime matters least to it.
    """

    engine: str
    encodings: tuple[Encoding, ...]
    least_ms: float

    @property
    def is_sound(self) -> bool:
        """Return whether all descriptors are finite and have a direction."""
        return all(0 < np.linalg.norm(encoding.descriptor) < np.inf for encoding in self.encodings)

    @classmethod
    def of(cls, engine: Engine, inputs: Iterable[NDArray[np.float32]]) -> Trial:
        """Run an engine on each input; there is one at least.

        Raises:
            EncoderError: It failed.
        """
        encodings, spent_s = [], []
        for network_input in inputs:
            began_s = time.perf_counter()
            encodings.append(engine.run(network_input))
            spent_s.append(time.perf_counter() - began_s)
        return cls(engine.name, tuple(encodings), 1000 * min(spent_s))


def refuse_difference(ours: Trial, reference: Trial, precision: Precision, recipe: Recipe) -> Parity:
    """Compare what an engine gave for the probes with what the reference gave, and return the figures.

    Raises:
        EncoderError: It computes something else, and says the figure; or what the reference gave is no descriptor.
    """
    if not reference.is_sound:
        raise EncoderError(
            f"'{recipe.name}' gives NaN, infinite values or only zeros on {reference.engine}, expected a descriptor; "
            "check the weights with 'vpr_ros encoders'"
        )
    parity = Parity.between(ours.encodings, reference.encodings, precision)
    if parity.objection:
        raise EncoderError(
            f"engine {ours.engine} is refused for '{recipe.name}': against {reference.engine} its {parity.objection}; "
            "take engine auto, or a higher precision"
        )
    return parity


def probe_inputs(recipe: Recipe) -> Iterator[NDArray[np.float32]]:
    """Yield a dozen inputs of a network, the same each time.

    Another picture is uncovered step by step over the first, so that each is less like the first than the one before.
    """
    rng = np.random.default_rng(0)
    first, second = _picture(rng), _picture(rng)[..., ::-1] // 3
    preprocessing = Preprocessing(recipe)
    for uncovered in np.linspace(0, _PICTURE, _PROBES).astype(int):
        picture = first.copy()
        picture[:, :uncovered] = second[:, :uncovered]
        yield preprocessing.apply(picture)


def _picture(rng: np.random.Generator) -> NDArray[np.uint8]:
    total = np.full((_PICTURE, _PICTURE, 3), 127.5)
    cells = np.arange(_PICTURE)
    for side, weight in _LAYERS:
        layer = rng.uniform(-127.5, 127.5, (side, side, 3))
        at = cells * side // _PICTURE
        total += weight * layer[at][:, at]
    picture: NDArray[np.uint8] = np.clip(total, 0, 255).astype(np.uint8)
    return picture


def _unit_rows(encodings: Sequence[Encoding]) -> NDArray[np.float64]:
    rows = np.array([encoding.descriptor for encoding in encodings], dtype=np.float64)
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    return unit


def _cosine(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> float | None:
    if a is None or b is None:
        return None if a is b else float("nan")
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _same_order(ours: NDArray[np.float64], reference: NDArray[np.float64], tie: float) -> bool:
    """Whether each of our ten nearest is, in the reference's eyes, as near as the one that stands there."""
    count = min(_NEIGHBOURS, len(reference))
    stands = reference[np.argsort(-ours, kind="stable")[:count]]
    belongs = -np.sort(-reference)[:count]
    return bool((np.abs(stands - belongs) <= tie).all())
