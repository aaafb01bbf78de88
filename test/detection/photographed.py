"""Drives whose keyframes are given photographs, for what only real patches and features can show."""

import numpy as np

from vpr_ros.core import Candidate, Frame, Keyframe
from vpr_ros.detection.evidence import Evidence
from vpr_ros.detection.memory import Memory
from vpr_ros.detection.odometer import Odometer
from vpr_ros.detection.policy import Thresholds
from vpr_ros.detection.stages import Context
from vpr_ros.geometry import GeometryRules
from vpr_ros.place_map import PlaceMap


class PhotographedDrive:
    """Keyframes that show the given images (RGB) at the given poses, remembered as the detector remembers them.

    A view may also be a whole frame, with camera and depth.
    """

    def __init__(self, encoder, views, t_odom_cameras, recent=8, **thresholds):
        self.thresholds = Thresholds(**thresholds)
        place_map = PlaceMap.in_memory(encoder.recipe)
        place_map.start_session()
        self.memory = Memory(place_map, self.thresholds)
        self.evidence = Evidence(encoder.recipe, place_map, GeometryRules(), patches=True, features=True)
        self.context = Context(self.memory, Odometer(self.thresholds), self.evidence)
        self.keyframes = []
        for number, (view, pose) in enumerate(zip(views, t_odom_cameras, strict=True)):
            frame = view if isinstance(view, Frame) else Frame(0, 0, np.ascontiguousarray(view))
            encoding = encoder.encode(frame.image)
            keyframe = Keyframe(
                number,
                0,
                number,
                encoding.descriptor,
                patches=self.evidence.patches_of(encoding).to_bytes(),
                features=self.evidence.features_of(frame).to_bytes(),
                camera=frame.camera,
                t_odom_camera=pose,
            )
            self.memory.note(self.memory.look(keyframe, np.arange(max(0, number - recent), number)))
            place_map.add(keyframe)
            self.context.odometer.remember(keyframe)
            self.keyframes.append(keyframe)

    def candidate(self, query, match):
        return Candidate(self.keyframes[query], self.keyframes[match], 0.9, 0)
