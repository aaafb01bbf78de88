"""Results for machines: the exact keys of ``--json``, written as JSON that every parser reads (NaN becomes null)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, asdict, dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from vpr_ros.core import Decision, LoopClosure, VprError
from vpr_ros.evaluation.altered import AlteredRetrieval
from vpr_ros.evaluation.assessment import Assessment
from vpr_ros.evaluation.benchmark import Benchmark
from vpr_ros.evaluation.recording import Recording, StageTiming
from vpr_ros.evaluation.relocalization import LocatedFrame, RelocalizationFigures, RelocalizationRun
from vpr_ros.evaluation.retrieval import Retrieval
from vpr_ros.scoring import Truth

SCHEMA = 1


class ResultError(VprError):
    """A result that can't be written."""


class Result(Protocol):
    """A frozen dataclass whose field names are the keys of its JSON."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]


@dataclass(frozen=True, slots=True)
class ClosureResult:
    """One loop closure.

    Attributes:
        query: Frame index in the source, 0-based.
        match: Frame index in the source, None where the place lies in an earlier session.
        query_stamp_ns: Stamp of the query in ns.
        match_stamp_ns: Stamp of the match in ns.
        match_id: Place id in the map.
        match_session: Session of the place.
        similarity: Cosine of the two global descriptors.
        probability: That the two show the same place.
        inliers: Feature matches that agree with the pose.
        metric: Whether the translation is in metres.
        t_match_query: ``x y z qx qy qz qw``, None without geometry.
        covariance: 36 numbers, row by row, None without geometry.
    """

    query: int
    match: int | None
    query_stamp_ns: int
    match_stamp_ns: int
    match_id: int
    match_session: int
    similarity: float
    probability: float
    inliers: int
    metric: bool
    t_match_query: tuple[float, ...] | None
    covariance: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class TruthResult:
    """What truth says of the closures. Queries are keyframes.

    Attributes:
        queries_with_revisit: Queries that show an earlier keyframe's place again.
        correct: Queries among them with a correct closure.
        wrong: Closures that truth says are none.
        missed: Queries among them without a correct closure.
        recall: ``correct`` over ``queries_with_revisit``, None where there is none.
        precision: Correct closures over correct and wrong ones, None where there is neither.
    """

    queries_with_revisit: int
    correct: int
    wrong: int
    missed: int
    recall: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class LoopsResult:
    """The standing of ``vpr_ros loops``; the README of the result keys is design.md, section 6."""

    schema: int
    source: str
    encoder: str
    engine: str
    frames: int
    keyframes: int
    keyframe_frames: tuple[int, ...]
    closures: tuple[ClosureResult, ...]
    refused: Mapping[str, int]
    decisions: str | None
    truth: TruthResult | None
    timing_ms: Mapping[str, Mapping[str, float]]
    peak_memory_mib: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """The standing of ``vpr_ros retrieve``.

    Attributes:
        queries: Queries that truth has an answer for.
        database: Images searched.
        recall_at: By k as text: share of queries with a right image among the k best, None where there is no query.
        recall_at_100_precision: Share answered before the first wrong answer, in order of similarity.
        average_precision: Area under the precision-recall curve of the best answers.
        encoder: Registered name of the encoder.
        seconds: Wall clock of the run.
    """

    queries: int
    database: int
    recall_at: Mapping[str, float | None]
    recall_at_100_precision: float | None
    average_precision: float | None
    encoder: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AlterationResult:
    """What came of one alteration; its figures are those of :class:`RetrievalResult`."""

    alteration: str
    recall_at: Mapping[str, float | None]
    recall_at_100_precision: float | None
    average_precision: float | None


@dataclass(frozen=True, slots=True)
class AlteredResult:
    """The standing of ``vpr_ros retrieve --altered``.

    Attributes:
        images: Keyframes, each a place and a query of every alteration.
        tolerance: Right is the query's own keyframe, or one within this many of it.
        altered: One an alteration.
        encoder: Registered name of the encoder.
        seconds: Wall clock of the run.
    """

    images: int
    tolerance: int
    altered: tuple[AlterationResult, ...]
    encoder: str
    seconds: float


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The standing of ``vpr_ros evaluate``.

    Attributes:
        runs: One a source, in order.
        unmet: Requirements that did not hold, a sentence each.
        report: The HTML page.
    """

    runs: tuple[LoopsResult, ...]
    unmet: tuple[str, ...]
    report: str


@dataclass(frozen=True, slots=True)
class RelocalizationAnswerResult:
    """The answer to one frame.

    Attributes:
        query: Frame index in the source, 0-based.
        known: Whether a place was named.
        match: Its id in the map, None where the place is unknown.
        t_map_camera: ``x y z qx qy qz qw``, None without a pose.
        covariance: 36 numbers, row by row, None without a pose.
        probability: That it is this place; 0 where the place is unknown.
    """

    query: int
    known: bool
    match: int | None
    t_map_camera: tuple[float, ...] | None
    covariance: tuple[float, ...] | None
    probability: float


@dataclass(frozen=True, slots=True)
class RelocalizationResult:
    """The standing of ``vpr_ros relocalize``."""

    queries: int
    answers: tuple[RelocalizationAnswerResult, ...]
    truth: RelocalizationFigures | None


def relocalization_result(run: RelocalizationRun, figures: RelocalizationFigures | None) -> RelocalizationResult:
    """Return the result of a run, judged where there is truth."""
    return RelocalizationResult(len(run.answers), tuple(map(_answer_result, run.answers)), figures)


def _answer_result(located: LocatedFrame) -> RelocalizationAnswerResult:
    if not located.answer.known:
        return RelocalizationAnswerResult(located.query, False, None, None, None, 0.0)
    best = located.answer.hypotheses[0]
    pose, covariance = best.t_map_camera, best.covariance
    return RelocalizationAnswerResult(
        query=located.query,
        known=True,
        match=best.match_id,
        t_map_camera=None if pose is None else tuple(pose.xyz_quaternion.tolist()),
        covariance=None if covariance is None else tuple(np.ravel(covariance).tolist()),
        probability=best.probability,
    )


@dataclass(frozen=True, slots=True)
class MapCheck:
    """The outcome of ``vpr_ros map check``.

    Attributes:
        map: Its folder.
        problems: Everything that is wrong with it, a sentence each.
    """

    map: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The outcome of ``vpr_ros bench NAME``; a row's further figures stand among its own keys."""

    bench: str
    machine: Mapping[str, str | int]
    rows: tuple[Mapping[str, float | int | str], ...]
    ratios: Mapping[str, float]


def bench_result(benchmark: Benchmark) -> BenchResult:
    """Return a benchmark as its JSON has it."""
    rows = tuple(
        {"what": row.what.strip(), "peer": row.peer, "p50_ms": row.p50_ms, "p95_ms": row.p95_ms, **row.more}
        for row in benchmark.rows
    )
    return BenchResult(benchmark.bench, benchmark.machine, rows, benchmark.ratios)


def retrieval_result(retrieval: Retrieval, truth: Truth) -> RetrievalResult:
    """Return what truth says of a retrieval."""
    figures = retrieval.figures(truth)
    return RetrievalResult(
        queries=figures.queries,
        database=len(retrieval.database.frames),
        recall_at={str(depth): recall for depth, recall in figures.recall_at.items()},
        recall_at_100_precision=figures.recall_at_100_precision,
        average_precision=figures.average_precision,
        encoder=retrieval.encoder,
        seconds=retrieval.seconds,
    )


def altered_result(retrieval: AlteredRetrieval) -> AlteredResult:
    """Return what came of altered images."""
    return AlteredResult(
        images=retrieval.images,
        tolerance=retrieval.tolerance,
        altered=tuple(
            AlterationResult(
                alteration=name,
                recall_at={str(depth): recall for depth, recall in figures.recall_at.items()},
                recall_at_100_precision=figures.recall_at_100_precision,
                average_precision=figures.average_precision,
            )
            for name, figures in retrieval.figures.items()
        ),
        encoder=retrieval.encoder,
        seconds=retrieval.seconds,
    )


def loops_result(recording: Recording, assessment: Assessment | None, decisions_file: str | None = None) -> LoopsResult:
    """Return the result of a run, judged where there is truth."""
    return LoopsResult(
        schema=SCHEMA,
        source=recording.source,
        encoder=recording.encoder,
        engine=recording.engine,
        frames=recording.frames,
        keyframes=len(recording.keyframes),
        keyframe_frames=tuple(keyframe.frame for keyframe in recording.keyframes),
        closures=tuple(_closure_result(recording, closure) for closure in recording.closures),
        refused=recording.refused,
        decisions=decisions_file,
        truth=_truth_result(assessment),
        timing_ms={stage: _percentiles(timing) for stage, timing in recording.timing.items()},
        peak_memory_mib=recording.peak_memory_mib,
        seconds=recording.seconds,
    )


def to_json(result: Result, *, indent: int | None = 1) -> str:
    """Return a result dataclass as strict JSON: no NaN or Infinity, which become null."""
    return json.dumps(_without_nan(asdict(result)), indent=indent, allow_nan=False)


def decisions_as_lines(decisions: Iterable[Decision]) -> str:
    """Return decisions as JSON lines, one object a decision, its fields as keys."""
    return "".join(to_json(decision, indent=None) + "\n" for decision in decisions)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it; what is no file, such as ``/dev/null``, is written to.

    Raises:
        ResultError: It can't be written, such as on a full disk.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise ResultError(f"can't write {path}: {error.strerror}; choose another place for it") from error


def _closure_result(recording: Recording, closure: LoopClosure) -> ClosureResult:
    match = recording.match_of(closure)
    pose, covariance = closure.t_match_query, closure.covariance
    return ClosureResult(
        query=recording.query_of(closure).frame,
        match=None if match is None else match.frame,
        query_stamp_ns=closure.query_stamp_ns,
        match_stamp_ns=closure.match_stamp_ns,
        match_id=closure.match_id,
        match_session=closure.match_session,
        similarity=closure.similarity,
        probability=closure.probability,
        inliers=closure.inliers,
        metric=closure.metric,
        t_match_query=None if pose is None else tuple(pose.xyz_quaternion.tolist()),
        covariance=None if covariance is None else tuple(np.ravel(covariance).tolist()),
    )


def _truth_result(assessment: Assessment | None) -> TruthResult | None:
    if assessment is None:
        return None
    figures = assessment.figures
    return TruthResult(
        queries_with_revisit=figures.queries_with_revisit,
        correct=figures.correct,
        wrong=figures.wrong,
        missed=figures.missed,
        recall=figures.recall,
        precision=figures.precision,
    )


def _percentiles(timing: StageTiming) -> dict[str, float]:
    return {"p50": timing.p50_ms, "p95": timing.p95_ms}


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return value
