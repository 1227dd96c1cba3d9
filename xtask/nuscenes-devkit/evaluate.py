"""Evaluates generated results with the official devkit and with ours, and compares every figure.

Called with what comes after `generate.py`: PROGRAM CASES FOLDER. One line a case: `ok NAME` or `failed NAME: reason`.
"""

import contextlib
import copy
import io
import shutil
import subprocess
import sys

os.environ["MPLBACKEND"] = "Agg"
os.environ["TQDM_DISABLE"] = "1"

import numpy as np
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval

TOLERANCE = 1e-9
KINDS = ["noisy", "edge", "perfect", "zeros", "mixed", "few", "wild"]
# Split, and the scenes that the results are of: a split of the data set's own leaves the others out.
SPLITS = [
    ("mini_val", MINI_SCENES[:2]),
    ("mini_train", MINI_SCENES[2:]),
    ("ours", MINI_SCENES),
]


def official(nusc, path, split, out):
    """Writes the devkit's two files."""
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent), np.errstate(all="ignore"):
        config = config_factory("detection_cvpr_2019")
        evaluation = DetectionEval(nusc, config, path, eval_set=split, output_dir=out, verbose=False)
        evaluation.main(plot_examples=0, render_curves=False)


def ours(program, folder, split, out, paths):
    command = [program, folder, "v1.0-mini", split, out, *paths]
    return subprocess.run(command, capture_output=True, text=True)


def difference(a, b, where=""):
    """The largest difference of two values and its place; infinite where they are not alike."""
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return math.inf, f"{where}: keys {sorted(set(a) ^ set(b)) or 'in another order'}"
        parts = [difference(a[key], b[key], f"{where}/{key}") for key in a if key != "eval_time"]
        return max(parts, key=lambda part: part[0], default=(0.0, where))
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return math.inf, f"{where}: {len(a)} and {len(b)} values"
        parts = [difference(x, y, f"{where}/{i}") for i, (x, y) in enumerate(zip(a, b))]
        return max(parts, key=lambda part: part[0], default=(0.0, where))
    is_number = lambda v: isinstance(v, (int, float)) and not isinstance(v, bool)
    if is_number(a) and is_number(b):
        if a == b or (math.isnan(a) and math.isnan(b)):
            return 0.0, where
        gap = abs(a - b)
        return (gap if math.isfinite(gap) else math.inf), f"{where}: {a!r} and {b!r}"
    return (0.0, where) if a == b else (math.inf, f"{where}: {a!r} and {b!r}")


def n_figures(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 1 if parts is None else sum(map(n_figures, parts))


def compare(official_folder, our_folder):
    worst, n = (0.0, ""), 0
    for name in ("metrics_summary.json", "metrics_details.json"):
        a, b = (json.load(open(f"{folder}/{name}")) for folder in (official_folder, our_folder))
        worst, n = max(worst, difference(a, b, name), key=lambda part: part[0]), n + n_figures(a)
    return worst, n


class Tally:
    def __init__(self):
        self.n_cases = self.n_figures = 0
        self.worst = 0.0

    def say(self, name, worst, n):
        self.n_cases, self.n_figures = self.n_cases + 1, self.n_figures + n
        self.worst = max(self.worst, worst[0])
        if worst[0] <= TOLERANCE:
            print(f"ok nuscenes-eval {name}: {n} figures, worst difference {worst[0]:.1e}", flush=True)
        else:
            print(f"failed nuscenes-eval {name}: {worst[1]}", flush=True)


def run_cases(program, n_cases, folder):
    """Data sets from seed to seed, all kinds of results on each, until there are enough cases."""
    # The first data set is one of exact distances.
    tally, seed = Tally(), 2
    while tally.n_cases < n_cases:
        data = f"{folder}/data{seed}"
        tables = data_set(data, seed)
        nusc = NuScenes(version="v1.0-mini", dataroot=data, verbose=False)
        # Each seed has another split for each kind.
        pairs = [(kind, SPLITS[(seed + i) % len(SPLITS)]) for i, kind in enumerate(KINDS)]
        for kind, (split, scenes) in pairs[: n_cases - tally.n_cases]:
            name = f"{kind}_{split}"
            path = f"{data}/{name}.json"
            with open(path, "w") as file:
                json.dump(results(tables, seed, kind, scenes), file)
            official(nusc, path, split, f"{data}/official/{name}")
            done = ours(program, data, split, f"{data}/ours", [path])
            if done.returncode != 0:
                tally.say(f"seed {seed} {name}", (math.inf, done.stderr.strip()), 0)
                continue
            tally.say(f"seed {seed} {name}", *compare(f"{data}/official/{name}", f"{data}/ours/{name}"))
        seed += 1
    print(f"{tally.n_cases} cases, {tally.n_figures} figures, worst difference {tally.worst:.1e}", file=sys.stderr)


def changed(box, **fields):
    for key, value in fields.items():
        if value is None:
            del box[key]
        else:
            box[key] = value


def without(value, key):
    del value[key]


# What is done to results, and whether ours gives an error where the devkit has figures (`stricter`) or figures where
# it has none (`defined`).
REACTIONS = {
    "nothing": (lambda r, first, box: None, ""),
    "no box at all": (lambda r, first, box: [boxes.clear() for boxes in r["results"].values()], "defined"),
    "a sample missing": (lambda r, first, box: without(r["results"], first), ""),
    "an unknown sample": (lambda r, first, box: r["results"].update(nowhere=[]), ""),
    "501 boxes": (lambda r, first, box: r["results"].update({first: [box] * 501}), ""),
    "500 boxes": (lambda r, first, box: r["results"].update({first: [box] * 500}), ""),
    "no meta": (lambda r, first, box: without(r, "meta"), ""),
    "no results": (lambda r, first, box: without(r, "results"), ""),
    "results a list": (lambda r, first, box: r.update(results=[]), ""),
    "a further section": (lambda r, first, box: r.update(more=[1, {"a": None}]), ""),
    "score NaN": (lambda r, first, box: changed(box, detection_score=math.nan), ""),
    "score infinite": (lambda r, first, box: changed(box, detection_score=math.inf), ""),
    "score 7.5": (lambda r, first, box: changed(box, detection_score=7.5), ""),
    "score an integer": (lambda r, first, box: changed(box, detection_score=1), ""),
    "score a text": (lambda r, first, box: changed(box, detection_score="0.5"), "stricter"),
    "score true": (lambda r, first, box: changed(box, detection_score=True), "stricter"),
    "scores below 0": (
        lambda r, first, box: [changed(b, detection_score=-0.5) for b in r["results"][first]],
        "",
    ),
    "no score": (lambda r, first, box: changed(box, detection_score=None), ""),
    "translation NaN": (lambda r, first, box: changed(box, translation=[math.nan, 0.0, 0.0]), ""),
    "translation infinite": (lambda r, first, box: changed(box, translation=[math.inf, 0.0, 0.0]), ""),
    "translation of two": (lambda r, first, box: changed(box, translation=[0.0, 0.0]), ""),
    "translation of four": (lambda r, first, box: changed(box, translation=[0.0] * 4), ""),
    "translation of texts": (lambda r, first, box: changed(box, translation=["0", "0", "0"]), ""),
    "no translation": (lambda r, first, box: changed(box, translation=None), ""),
    "size NaN": (lambda r, first, box: changed(box, size=[math.nan, 1.0, 1.0]), ""),
    "size 0": (lambda r, first, box: changed(box, size=[0.0, 1.0, 1.0]), ""),
    "size 0 far off": (lambda r, first, box: changed(box, size=[0.0, 1.0, 1.0], translation=[0.0] * 3), ""),
    "size below 0": (lambda r, first, box: changed(box, size=[1.0, -1.0, 1.0]), ""),
    "rotation NaN": (lambda r, first, box: changed(box, rotation=[1.0, 0.0, math.nan, 0.0]), ""),
    "rotation infinite": (lambda r, first, box: changed(box, rotation=[math.inf, 0.0, 0.0, 0.0]), ""),
    "rotation 0": (lambda r, first, box: changed(box, rotation=[0.0] * 4), ""),
    "rotation of any length": (lambda r, first, box: changed(box, rotation=[3.0, 0.0, 0.0, 1e-3]), ""),
    "velocity NaN": (lambda r, first, box: changed(box, velocity=[math.nan, 0.0]), ""),
    "velocity infinite": (lambda r, first, box: changed(box, velocity=[math.inf, 0.0]), ""),
    "velocity of three": (lambda r, first, box: changed(box, velocity=[0.0] * 3), ""),
    "an unknown class": (lambda r, first, box: changed(box, detection_name="tram"), ""),
    "an unknown attribute": (lambda r, first, box: changed(box, attribute_name="tram.moving"), ""),
    "another class's attribute": (lambda r, first, box: changed(box, attribute_name="cycle.with_rider"), ""),
    "attribute null": (lambda r, first, box: box.update(attribute_name=None), ""),
    "num_pts 0": (lambda r, first, box: changed(box, num_pts=0), ""),
    "num_pts 0.5": (lambda r, first, box: changed(box, num_pts=0.5), ""),
    "num_pts NaN": (lambda r, first, box: changed(box, num_pts=math.nan), ""),
    "num_pts 7": (lambda r, first, box: changed(box, num_pts=7), ""),
    "sample_token of another": (
        lambda r, first, box: changed(box, sample_token=list(r["results"])[-1]),
        "",
    ),
    "sample_token of none": (lambda r, first, box: changed(box, sample_token="nowhere"), ""),
    "sample_token a number": (lambda r, first, box: changed(box, sample_token=5), ""),
    "ego_translation NaN": (lambda r, first, box: changed(box, ego_translation=[math.nan] * 3), ""),
    "a further field": (lambda r, first, box: changed(box, colour={"red": [1, None, "x"]}), ""),
    "a box a list": (lambda r, first, box: r["results"][first].append([]), ""),
    "boxes an object": (lambda r, first, box: r["results"].update({first: {"a": 1}}), ""),
}


def run_reactions(program, folder):
    """Each fault in otherwise perfect results: figures where the devkit has figures, an error where it has none."""
    data = f"{folder}/reactions"
    tables = data_set(data, 1)
    nusc = NuScenes(version="v1.0-mini", dataroot=data, verbose=False)
    base = results(tables, 1, "perfect", MINI_SCENES[:2])
    first = next(token for token, boxes in base["results"].items() if boxes)
    # A box that finds its object, so that all of it is looked at.
    near = next(i for i, b in enumerate(base["results"][first]) if b["detection_name"] == "car")
    for name, (change, expected) in REACTIONS.items():
        r = copy.deepcopy(base)
        change(r, first, r["results"][first][near])
        path = f"{data}/{name.replace(' ', '_')}.json"
        with open(path, "w") as file:
            json.dump(r, file)
        stem = os.path.splitext(os.path.basename(path))[0]
        try:
            official(nusc, path, "mini_val", f"{data}/official/{stem}")
            words = ""
        except BaseException as error:
            words = repr(error)
        done = ours(program, data, "mini_val", f"{data}/ours", [path])
        title = f"nuscenes-eval reaction, {name}"
        is_crash = done.returncode not in (0, 1) or "panicked" in done.stderr
        if is_crash:
            print(f"failed {title}: {done.stderr.strip()}")
        elif expected == "stricter" and not words and done.returncode == 1:
            print(f"ok {title}: devkit has figures, ours says {done.stderr.strip()}")
        elif expected == "defined" and words and done.returncode == 0:
            summary = json.load(open(f"{data}/ours/{stem}/metrics_summary.json"))
            is_zero = summary["mean_ap"] == 0 and summary["nd_score"] == 0
            print(f"{'ok' if is_zero else 'failed'} {title}: devkit says {words}, ours mAP {summary['mean_ap']}")
        elif bool(words) != (done.returncode == 1) or expected:
            print(f"failed {title}: devkit says {words or 'figures'}, ours {done.stderr.strip() or 'figures'}")
        elif words:
            print(f"ok {title}: devkit says {words[:60]}, ours {done.stderr.strip()}")
        else:
            worst, _ = compare(f"{data}/official/{stem}", f"{data}/ours/{stem}")
            verdict = "ok" if worst[0] <= TOLERANCE else "failed"
            print(f"{verdict} {title}: figures, worst difference {worst[0]:.1e} {worst[1] if worst[0] else ''}")


def known(value):
    """The same with null where there is no figure, as JSON has no NaN."""
    if isinstance(value, dict):
        return {key: known(part) for key, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def write_goldens(folder):
    """A small data set, results on it, and the devkit's figures of them."""
    tables = data_set(folder, 2, n_samples=4, n_objects=26, digits=3)
    nusc = NuScenes(version="v1.0-mini", dataroot=folder, verbose=False)
    expected = {}
    for name, kind, split, scenes in [
        ("edge", "edge", "mini_val", MINI_SCENES[:2]),
        ("noisy", "noisy", "mini_val", MINI_SCENES[:2]),
        ("mixed", "mixed", "ours", MINI_SCENES),
    ]:
        path = f"{folder}/{name}.json"
        with open(path, "w") as file:
            json.dump(results(tables, 2, kind, scenes, digits=3), file, separators=(",", ":"))
        official(nusc, path, split, f"{folder}/official")
        summary = json.load(open(f"{folder}/official/metrics_summary.json"))
        keys = ("label_aps", "mean_ap", "label_tp_errors", "tp_errors", "tp_scores", "nd_score")
        expected[name] = {"split": split, **{key: known(summary[key]) for key in keys}}
    shutil.rmtree(f"{folder}/official")
    shutil.rmtree(f"{folder}/maps")
    for name in TABLES:
        path = f"{folder}/v1.0-mini/{name}.json"
        with open(path) as file:
            rows = json.load(file)
        with open(path, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")
    with open(f"{folder}/expected.json", "w") as file:
        json.dump(expected, file, indent=1)


if __name__ == "__main__" and sys.argv[1] == "goldens":
    write_goldens(sys.argv[2])
elif __name__ == "__main__":
    program_path, number, scratch = sys.argv[1:4]
    run_cases(program_path, int(number), scratch)
    run_reactions(program_path, scratch)
