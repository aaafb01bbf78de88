"""A small ONNX network with a recipe beside it, as users bring them."""

import onnx
import yaml
from onnx import TensorProto, helper


def write_network(folder, name, nodes, constants, *, mean, std, output=TensorProto.FLOAT, shape=None):
    """Write nodes that make `descriptor` (of length 3) of `image` (1 x 3 x 32 x 32), and return the file's path."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])
    descriptor = helper.make_tensor_value_info("descriptor", output, shape)
    graph = helper.make_graph(nodes, name, [image], [descriptor], constants)
    path = folder / f"{name}.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    recipe = {"name": name, "height": 32, "width": 32, "interpolation": "bilinear", "dim": 3, "licence": "none"}
    recipe |= {"mean": [mean] * 3, "std": [std] * 3}
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"recipe": recipe}))
    return path
