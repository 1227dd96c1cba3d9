"""Gives generated KITTI cases to mmdet3d's evaluator: `ok NAME` or `failed NAME: reason`, one line each.

Called with the folder of the cases, each with `label_2`, `results` and our own `figures.json`, and
with the file of the answers that are kept. `--write` after them writes that file anew instead.

Only two files of the package are loaded, so that neither torch nor mmcv is needed, and its rotated
overlap runs on Numba's simulator of CUDA, so that no card is.
"""

import importlib.util
import json
import os
import sys
import types
import warnings

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import numpy as np

CLASSES = ["Car", "Pedestrian", "Cyclist"]
LEVELS = ["easy", "moderate", "hard"]
TABLES = ["strict", "loose"]
# Percent; the evaluator's overlaps are of single precision.
TOLERANCE = 1e-3
# A case in which hardly anything is found would show nothing.
MIN_POSITIVE = 15


def load_evaluator():
    found = importlib.util.find_spec("mmdet3d")
    folder = os.path.join(found.submodule_search_locations[0], "evaluation", "functional", "kitti_utils")
    package = types.ModuleType("kitti_utils")
    package.__path__ = [folder]
    sys.modules["kitti_utils"] = package
    for name in ("rotate_iou", "eval"):
        spec = importlib.util.spec_from_file_location(f"kitti_utils.{name}", os.path.join(folder, f"{name}.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return sys.modules["kitti_utils.eval"]


def read(path):
    """The columns of a file; the evaluator wants length, height, width where files have height, width, length."""
    with open(path) as file:
        rows = [line.split() for line in file if line.strip()]
    numbers = np.array([[float(v) for v in row[1:15]] for row in rows], dtype=np.float64).reshape(-1, 14)
    return {
        "name": np.array([row[0] for row in rows]),
        "truncated": numbers[:, 0],
        "occluded": numbers[:, 1].astype(int),
        "alpha": numbers[:, 2],
        "bbox": numbers[:, 3:7],
        "dimensions": numbers[:, [9, 7, 8]],
        "location": numbers[:, 10:13],
        "rotation_y": numbers[:, 13],
        "score": np.array([float(row[15]) if len(row) > 15 else 0.0 for row in rows], dtype=np.float64),
    }


def answers(evaluator, case):
    """Every figure by its key; those of orientation, which have none, by one of the same form."""
    names = sorted(os.listdir(os.path.join(case, "label_2")))
    labels, results = ([read(os.path.join(case, part, name)) for name in names] for part in ("label_2", "results"))
    kept = []
    original = evaluator.do_eval

    def keeping(*arguments):
        kept.append(original(*arguments))
        return kept[-1]

    evaluator.do_eval = keeping
    try:
        _, figures = evaluator.kitti_eval(labels, results, list(CLASSES), ["bbox", "bev", "3d"])
    finally:
        evaluator.do_eval = original
    figures = {key: float(value) for key, value in figures.items()}
    for average, aos in (("AP11", kept[0][3]), ("AP40", kept[0][7])):
        if aos is None:
            continue
        for level_idx, level in enumerate(LEVELS):
            for class_idx, name in enumerate(CLASSES):
                for table_idx, table in enumerate(TABLES):
                    key = f"KITTI/{name}_AOS_{average}_{level}_{table}"
                    figures[key] = float(aos[class_idx, level_idx, table_idx])
            figures[f"KITTI/Overall_AOS_{average}_{level}"] = float(aos[:, level_idx, 0].mean())
    return figures


def compare(of_whom, ours, theirs):
    ours = {key: value for key, value in ours.items() if value is not None}
    if set(ours) != set(theirs):
        raise AssertionError(f"{of_whom}: other figures: {sorted(set(ours) ^ set(theirs))[:4]}")
    differences = {key: abs(ours[key] - theirs[key]) for key in theirs}
    worst = max(differences, key=differences.get)
    if not differences[worst] <= TOLERANCE:
        raise AssertionError(f"{of_whom}: {worst} is {ours[worst]}, the evaluator says {theirs[worst]}")
    return differences[worst]


def check(case, theirs, kept):
    with open(os.path.join(case, "figures.json")) as file:
        ours = json.load(file)
    n_positive = sum(value > 0 for value in theirs.values())
    if n_positive < MIN_POSITIVE:
        raise AssertionError(f"only {n_positive} of {len(theirs)} figures are not 0")
    worst = compare("our figures", ours, theirs)
    compare("the kept answers", kept, theirs)
    return f"{len(theirs)} figures, {n_positive} of them not 0, differ by at most {worst:.1e}"


def main(folder, path_of_kept, write):
    warnings.filterwarnings("ignore")
    evaluator = load_evaluator()
    kept = {}
    if not write:
        with open(path_of_kept) as file:
            kept = json.load(file)
    for name in sorted(os.listdir(folder)):
        try:
            theirs = answers(evaluator, os.path.join(folder, name))
            if write:
                kept[name] = theirs
                print(f"ok kitti {name}: {len(theirs)} figures kept")
            else:
                print(f"ok kitti {name}: {check(os.path.join(folder, name), theirs, kept.get(name, {}))}")
        except Exception as error:  # Whatever it is, it is this case's failure.
            print(f"failed kitti {name}: {' '.join(str(error).split()) or repr(error)}")
        sys.stdout.flush()
    if write:
        with open(path_of_kept, "w") as file:
            json.dump(kept, file, indent=1, sort_keys=True)
            file.write("\n")


main(sys.argv[1], sys.argv[2], "--write" in sys.argv[3:])
