"""Made-up pictures of places, and configs of networks that train in seconds."""

import cv2
import numpy as np


def scene(number, height=120, width=160):
    """A picture of its own for each number: large soft patches of colour under finer ones."""
    rng = np.random.default_rng(number)
    layers = [
        cv2.resize(rng.uniform(0, 1, (cells, cells * 4 // 3, 3)).astype(np.float32), (width, height)) * strength
        for cells, strength in ((3, 0.5), (9, 0.3), (24, 0.2))
    ]
    return (255 * np.clip(sum(layers), 0, 1)).astype(np.uint8)


def write_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


def small_values(**over):
    """A config that trains in seconds; values of groups are put over the groups."""
    values = {
        "name": "small",
        "licence": "CC0-1.0",
        "network": {
            "backbone": "efficientnet-lite0",
            "input_size": 96,
            "heads": [{"kind": "mixvpr", "dim": 32, "depth": 1}],
        },
        "data": {"train": [{"kind": "manifest", "split": "train"}]},
        "freeze_through": "blocks.10",
        "cache": {"enabled": True, "renderings": 2},
        "sampling": {"places": 4, "views": 2, "steps": 3},
        "optimizer": {"learning_rate": 1e-3},
        "schedule": {"warm_up_steps": 1},
        "epochs": 1,
        "threads": 1,
    }
    for key, value in over.items():
        merges = isinstance(value, dict) and isinstance(values.get(key), dict)
        values[key] = values[key] | value if merges else value
    return values
