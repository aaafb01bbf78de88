"""The HTML report: one page that holds everything it shows, made of what the runs gave and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

import jinja2

from vpr_ros.core import Decision
from vpr_ros.detection.policy import policy_notes
from vpr_ros.detection.settings import Settings
from vpr_ros.evaluation.album import Album
from vpr_ros.evaluation.assessment import Assessment, Mark, Standing, standing_of
from vpr_ros.evaluation.drawing import WIDTH, TimeLine, TopView, time_line, top_views
from vpr_ros.evaluation.environment import machine, versions
from vpr_ros.evaluation.plots import PLOT_HEIGHT, PLOT_WIDTH, Plot, plots
from vpr_ros.evaluation.recording import Recording
from vpr_ros.evaluation.reliability import RELIABILITY_HEIGHT, ReliabilityDiagram, reliability_diagram
from vpr_ros.evaluation.shown_pairs import ShownPair, accepted_pairs, refused_pairs
from vpr_ros.place_map import PlaceMap

# Accepted candidates listed, the least sure first.
_MAX_ACCEPTED = 200
# Refused candidates shown of each stage, the most similar first, one a query: its others look much like it.
_MAX_REFUSED = 10


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure in large print."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One decision of the table."""

    query: str
    match: str
    decision: Decision
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """What one stage refused, its most similar candidates in front."""

    stage: str
    count: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class TimingRow:
    """One stage's time and how long its bar is, in per cent of the slowest."""

    stage: str
    p50_ms: float
    p95_ms: float
    p50_percent: float
    p95_percent: float


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting and whether it was changed."""

    name: str
    value: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Section:
    """Everything the page says of one run."""

    source: str
    encoder: str
    standing: Standing
    headline: str
    summary: str
    tiles: tuple[Tile, ...]
    top_views: tuple[TopView, ...]
    time_line: TimeLine | None
    plots: tuple[Plot, ...]
    marks: tuple[Mark, ...]
    pairs: tuple[ShownPair, ...]
    nearly: tuple[ShownPair, ...]
    reliability: ReliabilityDiagram | None
    closures: int
    accepted: tuple[Row, ...]
    refused: tuple[RefusedGroup, ...]
    timing: tuple[TimingRow, ...]
    settings: tuple[SettingRow, ...]
    truth: str
    drops: str


def section_of(
    recording: Recording, assessment: Assessment | None, settings: Settings, place_map: PlaceMap, *, lost: str = ""
) -> Section:
    """Return what the page says of one run.

    Args:
        recording: What the run gave.
        assessment: What truth says of it, None without truth.
        settings: What it ran with.
        place_map: The map it filled, for the pictures; read here, so it may be closed afterwards.
        lost: What went missing on the way, in words; what the source dropped is added.

    Raises:
        MapError: The map's disk is broken.
        PolicyError: The policy that the settings name can't be read.
    """
    marks = _marks(recording, assessment)
    album = Album(place_map, settings.geometry)
    drops = [
        lost,
        *(f"{count} {'time' if count == 1 else 'times'} {cause}" for cause, count in recording.drops.items()),
    ]
    return Section(
        source=recording.source,
        encoder=f"{recording.encoder} on {recording.engine}",
        standing=standing_of(assessment),
        headline=headline(recording, assessment),
        summary=summary(recording, assessment),
        tiles=tuple(_tiles(recording, assessment)),
        top_views=top_views(recording, marks),
        time_line=time_line(recording, marks),
        plots=plots(recording, marks, settings.of_encoder(place_map.recipe).thresholds.min_similarity),
        marks=tuple(sorted(set(marks))),
        pairs=tuple(accepted_pairs(recording, marks, album)),
        nearly=tuple(refused_pairs(recording, album)),
        reliability=reliability_diagram(policy_notes(place_map.recipe, settings.choice.policy)),
        closures=len(recording.closures),
        accepted=tuple(_accepted(recording, marks)),
        refused=tuple(_refused(recording)),
        timing=tuple(_timing(recording)),
        settings=tuple(_settings(settings)),
        truth=assessment.truth if assessment else "None was given, so nothing here is called right or wrong.",
        drops="; ".join(filter(None, drops)) or "nothing",
    )


def render_report(sections: Sequence[Section]) -> str:
    """Return the page as HTML. Everything from outside is escaped; nothing is fetched when it is opened."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made_at = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    template = environment.get_template("report.html.j2")
    sizes = {
        "width": WIDTH,
        "plot_width": PLOT_WIDTH,
        "plot_height": PLOT_HEIGHT,
        "reliability_height": RELIABILITY_HEIGHT,
    }
    return template.render(sections=sections, versions=versions(), machine=machine(), made_at=made_at, **sizes)


def headline(recording: Recording, assessment: Assessment | None) -> str:
    """Return the verdict in one line."""
    found = _counted(len(recording.closures), "loop closure")
    if assessment is None:
        return f"{found}, not judged"
    figures = assessment.figures
    if figures.wrong:
        return f"{found}, {figures.wrong} wrong"
    if recording.closures:
        return f"{found}, none wrong"
    if figures.queries_with_revisit:
        return f"No loop found, though {_counted(figures.queries_with_revisit, 'keyframe')} came back"
    return "No loop found, and there is none"


def summary(recording: Recording, assessment: Assessment | None) -> str:
    """Return what was seen and what truth says of it, in a sentence or two."""
    seen = f"{recording.frames} images gave {len(recording.keyframes)} keyframes in {recording.seconds:.1f} s."
    if assessment is None:
        return f"{seen} Without truth nobody can say which closures are right; look at the pairs."
    figures = assessment.figures
    if not figures.queries_with_revisit:
        return f"{seen} By truth no keyframe shows an earlier place again."
    return (
        f"{seen} By truth {figures.queries_with_revisit} of them show an earlier place again; {figures.correct} of "
        f"those were recognised, {figures.missed} missed."
    )


def _counted(count: int, noun: str) -> str:
    return f"{count or 'No'} {noun}{'' if count == 1 else 's'}"


def _tiles(recording: Recording, assessment: Assessment | None) -> Iterator[Tile]:
    if assessment is not None:
        figures = assessment.figures
        yield Tile("wrong closures", str(figures.wrong))
        yield Tile("precision", _percent(figures.precision), "right of those judged")
        yield Tile("recall", _percent(figures.recall), f"{figures.correct} of {figures.queries_with_revisit} revisits")
    yield Tile("loop closures", str(len(recording.closures)))
    yield Tile("refused", str(sum(recording.refused.values())), "candidates, each with its reason")
    yield Tile("keyframes", str(len(recording.keyframes)), f"of {recording.frames} images")
    yield Tile("peak memory", f"{recording.peak_memory_mib:.0f} MiB")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _marks(recording: Recording, assessment: Assessment | None) -> tuple[Mark, ...]:
    if assessment is not None:
        return assessment.marks
    return tuple("unscored" for _ in recording.closures)


def _accepted(recording: Recording, marks: Sequence[Mark]) -> Iterator[Row]:
    """Yield the worst first: the wrong ones, then the least probable."""
    mark_of = {(c.query_id, c.match_id): mark for c, mark in zip(recording.closures, marks, strict=True)}
    accepted = ((d, mark_of.get((d.query_id, d.match_id))) for d in recording.decisions if d.accepted)
    worst_first = sorted(accepted, key=lambda pair: (pair[1] != "wrong", pair[0].probability))
    for decision, mark in worst_first[:_MAX_ACCEPTED]:
        yield _row(recording, decision, mark)


def _refused(recording: Recording) -> Iterator[RefusedGroup]:
    # What was outdone by a better match of the same query is the least interesting.
    for stage, count in sorted(recording.refused.items(), key=lambda item: item[0] == "best"):
        refused = [d for d in recording.decisions if not d.accepted and d.stage == stage]
        best_of_query = {d.query_id: d for d in sorted(refused, key=lambda d: d.similarity)}
        best = sorted(best_of_query.values(), key=lambda d: d.similarity, reverse=True)[:_MAX_REFUSED]
        yield RefusedGroup(stage, count, tuple(_row(recording, decision) for decision in best))


def _row(recording: Recording, decision: Decision, mark: Mark | None = None) -> Row:
    return Row(recording.when(recording.query_of(decision)), recording.where(decision), decision, mark)


def _timing(recording: Recording) -> Iterator[TimingRow]:
    slowest = max((timing.p95_ms for timing in recording.timing.values()), default=0.0) or 1.0
    for stage, timing in recording.timing.items():
        bars = 100 * timing.p50_ms / slowest, 100 * timing.p95_ms / slowest
        yield TimingRow(stage, timing.p50_ms, timing.p95_ms, *bars)


def _settings(settings: Settings) -> Iterator[SettingRow]:
    for group in fields(settings):
        if group.name in ("node", "given"):
            continue  # says nothing about how loops were found
        mine, default = getattr(settings, group.name), getattr(Settings(), group.name)
        for one in fields(mine):
            value = getattr(mine, one.name)
            yield SettingRow(one.name, str(value), value != getattr(default, one.name))
