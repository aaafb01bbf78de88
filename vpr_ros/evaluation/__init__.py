"""Running a recording, judging it, and showing what came of it."""

from vpr_ros.evaluation.altered import AlteredRetrieval, retrieve_altered
from vpr_ros.evaluation.assessment import Assessment, Mark, Standing, assess, standing_of
from vpr_ros.evaluation.benchmark import Benchmark, BenchRow
from vpr_ros.evaluation.calibrating import Calibration, calibrate
from vpr_ros.evaluation.checkup import Checkup, Finding, check_installation
from vpr_ros.evaluation.encoder_list import EncoderList, EncoderState, encoder_list
from vpr_ros.evaluation.judging import (
    Judge,
    carried_poses,
    frame_names,
    judge_by_poses,
    judge_by_revisits,
    truth_by_poses,
    truth_by_revisits,
    unjudged,
)
from vpr_ros.evaluation.recording import Recording, SeenFrames, SeenKeyframe, StageTiming
from vpr_ros.evaluation.relocalization import RelocalizationRun, relocalize, score_relocalization
from vpr_ros.evaluation.report import Section, headline, render_report, section_of, summary
from vpr_ros.evaluation.requirements import Requirement, RequirementError
from vpr_ros.evaluation.results import (
    EvaluationResult,
    LoopsResult,
    MapCheck,
    Result,
    ResultError,
    RetrievalResult,
    altered_result,
    bench_result,
    decisions_as_lines,
    loops_result,
    relocalization_result,
    retrieval_result,
    to_json,
    write_whole,
)
from vpr_ros.evaluation.retrieval import Retrieval, retrieve, retrieve_sequence
from vpr_ros.evaluation.run import open_map, run_recording, stage_timing
from vpr_ros.evaluation.weights_list import fetch_result, weights_list

__all__ = [
    "AlteredRetrieval",
    "Assessment",
    "BenchRow",
    "Benchmark",
    "Calibration",
    "Checkup",
    "EncoderList",
    "EncoderState",
    "EvaluationResult",
    "Finding",
    "Judge",
    "LoopsResult",
    "MapCheck",
    "Mark",
    "Recording",
    "RelocalizationRun",
    "Requirement",
    "RequirementError",
    "Result",
    "ResultError",
    "Retrieval",
    "RetrievalResult",
    "Section",
    "SeenFrames",
    "SeenKeyframe",
    "StageTiming",
    "Standing",
    "altered_result",
    "assess",
    "bench_result",
    "calibrate",
    "carried_poses",
    "check_installation",
    "decisions_as_lines",
    "encoder_list",
    "fetch_result",
    "frame_names",
    "headline",
    "judge_by_poses",
    "judge_by_revisits",
    "loops_result",
    "open_map",
    "relocalization_result",
    "relocalize",
    "render_report",
    "retrieval_result",
    "retrieve",
    "retrieve_altered",
    "retrieve_sequence",
    "run_recording",
    "score_relocalization",
    "section_of",
    "stage_timing",
    "standing_of",
    "summary",
    "to_json",
    "truth_by_poses",
    "truth_by_revisits",
    "unjudged",
    "weights_list",
    "write_whole",
]
