"""Re-ranking after Patch-NetVLAD (Hausler et al., CVPR 2021): do two images agree patch by patch, and where?"""

from vpr_ros.reranking.description import describe
from vpr_ros.reranking.descriptors import PatchDescriptors, PatchScale
from vpr_ros.reranking.errors import RerankingError
from vpr_ros.reranking.matching import mutual_matches
from vpr_ros.reranking.scoring import PairScore, ScaleScore, ransac_score, spatial_score
from vpr_ros.reranking.vocabulary import PUBLISHED_WEIGHTS, PatchVocabulary, open_vocabulary

__all__ = [
    "PUBLISHED_WEIGHTS",
    "PairScore",
    "PatchDescriptors",
    "PatchScale",
    "PatchVocabulary",
    "RerankingError",
    "ScaleScore",
    "describe",
    "mutual_matches",
    "open_vocabulary",
    "ransac_score",
    "spatial_score",
]
