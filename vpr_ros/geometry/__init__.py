"""Geometric verification: do two views show one rigid scene, and where did the query's camera stand?"""

from vpr_ros.geometry.errors import GeometryError
from vpr_ros.geometry.features import FeatureSet, LocalFeatures
from vpr_ros.geometry.rules import GeometryRules
from vpr_ros.geometry.sift import SiftFeatures
from vpr_ros.geometry.verification import verify
from vpr_ros.geometry.view import Degeneracy, Kind, Verification, View

__all__ = [
    "Degeneracy",
    "FeatureSet",
    "GeometryError",
    "GeometryRules",
    "Kind",
    "LocalFeatures",
    "SiftFeatures",
    "Verification",
    "View",
    "verify",
]
