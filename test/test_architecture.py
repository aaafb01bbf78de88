"""The walls of the house: who imports whom, and where the heavy libraries may stand."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vpr_ros"

BELOW_EVALUATION = {
    "core",
    "sources",
    "scoring",
    "encoders",
    "place_map",
    "reranking",
    "geometry",
    "detection",
    "training",
}
MAY_IMPORT = {
    "core": set(),
    "sources": {"core"},
    "scoring": {"core"},
    "encoders": {"core"},
    "place_map": {"core"},
    "reranking": {"core"},
    "geometry": {"core"},
    "detection": {"core", "encoders", "place_map", "reranking", "geometry"},
    # The policy is fitted to what a detector on a map sees.
    "training": {"core", "encoders", "place_map", "reranking", "sources", "scoring", "detection"},
    "evaluation": BELOW_EVALUATION,
    "nodes": BELOW_EVALUATION | {"evaluation"},
    "cli": BELOW_EVALUATION | {"evaluation"},
}
# Where a library may be imported at all, as path prefixes inside the package.
ONLY_IN = {
    "rclpy": ("nodes/",),
    "torch": ("encoders/models/", "encoders/engines/torch_", "training/", "evaluation/peers/"),
    "torchvision": ("encoders/models/", "encoders/engines/torch_", "evaluation/peers/"),
    "faiss": ("place_map/", "evaluation/benchmark_"),
    "sqlite3": ("place_map/", "sources/rtabmap.py"),
    "rosbags": ("sources/",),
    "vizdoom": ("sources/",),
    "onnxruntime": ("encoders/",),
    "rich": ("cli/", "nodes/demo.py"),
    "jinja2": ("evaluation/",),
}
SLOW_TO_LOAD = {"torch", "torchvision", "vizdoom", "matplotlib", "openvino", "gtsam"}

FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in FILES]


def imported_modules(tree):
    """Yield (dotted module, whether at the top of the file) for each import."""
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, id(node) in top


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_go_down_the_house_and_never_up(path):
    room = path.relative_to(PACKAGE).parts[0]
    if room not in MAY_IMPORT:
        pytest.skip("the package itself")

    rooms = {
        module.split(".")[1]
        for module, _ in imported_modules(ast.parse(path.read_text()))
        if module.startswith("vpr_ros.")
    }

    assert rooms <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_libraries_stay_in_the_rooms_that_are_about_them(path):
    inside = str(path.relative_to(PACKAGE))
    for module, _ in imported_modules(ast.parse(path.read_text())):
        library = module.split(".")[0]
        places = ("nodes/",) if library.endswith(("_msgs", "_srvs")) else ONLY_IN.get(library)
        assert places is None or inside.startswith(places), f"{inside} imports {library}"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_slow_libraries_are_imported_where_they_are_used(path):
    inside = str(path.relative_to(PACKAGE))
    trains = inside.startswith("training/") and not inside.startswith("training/fit_")
    if trains or inside.startswith(("encoders/models/", "encoders/engines/torch_", "evaluation/peers/")):
        pytest.skip("loaded only when asked for by name")
    at_top = {module.split(".")[0] for module, is_top in imported_modules(ast.parse(path.read_text())) if is_top}
    assert not at_top & SLOW_TO_LOAD


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_have_walls_and_names_that_say_something(path):
    assert path.read_text().count("\n") < 400
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=str)
def test_a_room_hands_on_names_and_defines_nothing(path):
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign)
    for node in ast.parse(path.read_text()).body:
        assert isinstance(node, allowed)
        if isinstance(node, ast.Assign):
            assert {target.id for target in node.targets} <= {"__all__", "__version__"}


def test_every_place_that_states_the_version_states_the_same():
    stated = {
        "package.xml": re.search(r"<version>(.+?)</version>", (ROOT / "package.xml").read_text())[1],
        "vpr_msgs": re.search(r"<version>(.+?)</version>", (ROOT / "vpr_msgs/package.xml").read_text())[1],
        "setup.py": re.search(r'version="(.+?)"', (ROOT / "setup.py").read_text())[1],
        "__init__": re.search(r'__version__ = "(.+?)"', (PACKAGE / "__init__.py").read_text())[1],
        "CHANGELOG": re.search(r"^(\d+\.\d+\.\d+) \(", (ROOT / "CHANGELOG.rst").read_text(), re.M)[1],
    }
    assert len(set(stated.values())) == 1, stated


def test_the_repository_names_no_folder_of_one_machine():
    for path in [*PACKAGE.rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "Makefile"]:
        assert not re.search(r"/(home|root|work|Users)/\w+", path.read_text()), path
