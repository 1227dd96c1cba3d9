"""Makes small data sets in the form of nuScenes, and results on them: all from a seed, none recorded.

Nothing here imports the devkit, so that what it is checked with owes it nothing.
"""

import hashlib
import json
import math
import os
import random

CATEGORIES = {
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.wheelchair": None,
    "human.pedestrian.stroller": None,
    "human.pedestrian.personal_mobility": None,
    "human.pedestrian.police_officer": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "animal": None,
    "vehicle.car": "car",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.truck": "truck",
    "vehicle.construction": "construction_vehicle",
    "vehicle.emergency.ambulance": None,
    "vehicle.emergency.police": None,
    "vehicle.trailer": "trailer",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "movable_object.pushable_pullable": None,
    "movable_object.debris": None,
    "static_object.bicycle_rack": None,
}
# Width, length, height.
SIZES = {
    "car": (1.95, 4.6, 1.7),
    "truck": (2.5, 6.9, 2.8),
    "bus": (2.9, 11.0, 3.5),
    "trailer": (2.9, 12.3, 3.9),
    "construction_vehicle": (2.7, 6.4, 3.2),
    "pedestrian": (0.67, 0.73, 1.77),
    "motorcycle": (0.77, 2.1, 1.47),
    "bicycle": (0.6, 1.7, 1.28),
    "traffic_cone": (0.41, 0.41, 1.07),
    "barrier": (2.5, 0.5, 0.98),
}
RANGES = {"pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30}
VEHICLE = ["vehicle.moving", "vehicle.parked", "vehicle.stopped"]
CYCLE = ["cycle.with_rider", "cycle.without_rider"]
PERSON = ["pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing"]
ATTRIBUTES = {name: VEHICLE for name in SIZES}
ATTRIBUTES.update(pedestrian=PERSON, motorcycle=CYCLE, bicycle=CYCLE, traffic_cone=[], barrier=[])
META = {"use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}
TABLES = (
    "category attribute visibility instance sensor calibrated_sensor ego_pose log scene sample sample_data "
    "sample_annotation map"
).split()
MINI_SCENES = ["scene-0103", "scene-0916", "scene-0061"]
# Between two samples: as recorded, too long for a step to one side, too long for one to both.
STEPS_US = {"as recorded": 500_000, "a gap": 1_700_000, "a long gap": 3_200_000}


def token(*parts):
    return hashlib.md5("/".join(map(str, parts)).encode()).hexdigest()


def turned(yaw):
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def write_tables(folder, version, tables, splits):
    os.makedirs(f"{folder}/{version}", exist_ok=True)
    os.makedirs(f"{folder}/maps", exist_ok=True)
    for name in TABLES:
        with open(f"{folder}/{version}/{name}.json", "w") as file:
            json.dump(tables[name], file, indent=0)
    with open(f"{folder}/{version}/splits.json", "w") as file:
        json.dump(splits, file)
    # The devkit asks only whether the map is there.
    open(f"{folder}/maps/map.png", "wb").close()


def fixed_tables():
    tables = {name: [] for name in TABLES}
    for index, name in enumerate(CATEGORIES):
        tables["category"].append({"token": token(name), "name": name, "description": "", "index": index + 1})
    for name in VEHICLE + CYCLE + PERSON:
        tables["attribute"].append({"token": token(name), "name": name, "description": ""})
    for index, level in enumerate(["v0-40", "v40-60", "v60-80", "v80-100"]):
        tables["visibility"].append({"token": str(index + 1), "level": level, "description": ""})
    tables["sensor"].append({"token": token("lidar"), "channel": "LIDAR_TOP", "modality": "lidar"})
    return tables


def data_set(folder, seed, n_samples=4, n_objects=46, scenes=MINI_SCENES, version="v1.0-mini", digits=None):
    """Scenes of moving things around a moving vehicle; gives the tables."""
    rnd = random.Random(f"data {seed}")
    tables = fixed_tables()
    is_grid = seed % 3 == 2
    rounded = (lambda v: round(v, digits)) if digits else (lambda v: v)
    for number, name in enumerate(scenes):
        add_scene(tables, rnd, seed, number, name, n_samples, n_objects, is_grid, rounded)
    logs = [log["token"] for log in tables["log"]]
    tables["map"].append(
        {"token": token("map"), "category": "semantic_prior", "filename": "maps/map.png", "log_tokens": logs}
    )
    # The devkit takes samples in the order of their table, which need not be that of time.
    rnd.shuffle(tables["sample"])
    write_tables(folder, version, tables, {"ours": scenes[1:], "one": scenes[:1]})
    return tables


def add_scene(tables, rnd, seed, number, name, n_samples, n_objects, is_grid, rounded):
    ids = lambda kind, *which: token(kind, seed, number, *which)
    tables["log"].append(
        {"token": ids("log"), "logfile": f"n{number}", "vehicle": "n", "date_captured": "2018-07-24", "location": "x"}
    )
    tables["calibrated_sensor"].append(
        {
            "token": ids("mounting"),
            "sensor_token": token("lidar"),
            "translation": [0.943713, 0.0, 1.84023],
            "rotation": [0.7077955119163518, -0.006492242056004365, 0.010646214713995808, -0.7063073142877817],
            "camera_intrinsic": [],
        }
    )
    samples = [ids("sample", k) for k in range(n_samples)]
    steps = [rnd.choice(list(STEPS_US.values())) if number < 2 else 500_000 for _ in range(n_samples)]
    times = [1_532_402_927_647_951 + number * 1_000_000_000 + sum(steps[:k]) for k in range(n_samples)]
    seconds = [(t - times[0]) * 1e-6 for t in times]
    ego = [rounded(rnd.uniform(300, 1500)) for _ in range(2)]
    if is_grid:
        ego = [round(v) for v in ego]
    speed, yaw = rnd.choice([0.0, rnd.uniform(2, 12)]), rnd.uniform(-3, 3)
    for k, (sample, time) in enumerate(zip(samples, times)):
        place = [rounded(ego[i] + speed * seconds[k] * f(yaw)) for i, f in enumerate((math.cos, math.sin))] + [0.0]
        tables["ego_pose"].append(
            {"token": sample, "timestamp": time, "rotation": turned(yaw), "translation": place}
        )
        neighbours = {"prev": samples[k - 1] if k else "", "next": samples[k + 1] if k + 1 < n_samples else ""}
        tables["sample_data"].append(
            {
                "token": sample,
                "sample_token": sample,
                "ego_pose_token": sample,
                "calibrated_sensor_token": ids("mounting"),
                "timestamp": time,
                "fileformat": "pcd",
                "is_key_frame": True,
                "height": 0,
                "width": 0,
                "filename": f"samples/LIDAR_TOP/{time}.pcd.bin",
                **neighbours,
            }
        )
        tables["sample"].append({"token": sample, "timestamp": time, "scene_token": ids("scene"), **neighbours})
    for index in range(n_objects):
        category = list(CATEGORIES)[index % len(CATEGORIES)]
        add_track(tables, rnd, ids, index, category, ego, samples, seconds, is_grid, rounded)
    rack = [ego[0] + 8.0, ego[1] + 6.0, 0.8]
    in_rack = [("static_object.bicycle_rack", rack, (3.0, 6.0, 2.0), 0.4)]
    for index, category in enumerate(("vehicle.bicycle", "vehicle.motorcycle", "vehicle.bicycle")):
        # The last one is just outside of it, at its height.
        place = [rack[0] + 0.4 * index, rack[1] + 0.2, rack[2] + (1.01 if index == 2 else 0.0)]
        in_rack.append((category, place, SIZES[CATEGORIES[category]], 0.1))
    for index, track in enumerate(in_rack):
        add_annotations(tables, rnd, ids, n_objects + index, *track, (0.0, 0.0), list(range(n_samples)), samples, seconds, rounded)
    tables["scene"].append(
        {
            "token": ids("scene"),
            "log_token": ids("log"),
            "nbr_samples": n_samples,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "name": name,
            "description": "generated",
        }
    )


def add_track(tables, rnd, ids, index, category, ego, samples, seconds, is_grid, rounded):
    detected = CATEGORIES[category]
    size = [rounded(side * rnd.uniform(0.85, 1.15)) for side in SIZES.get(detected, (1.0, 1.0, 1.5))]
    reach, angle = rnd.uniform(3, 58), rnd.uniform(-math.pi, math.pi)
    if is_grid and rnd.random() < 0.3:
        # At the very end of the range, which is out of it.
        reach, angle = RANGES.get(detected, 50), rnd.choice([0, 0.5, 1, 1.5]) * math.pi
    place = [ego[0] + reach * math.cos(angle), ego[1] + reach * math.sin(angle), rnd.uniform(0.3, 1.5)]
    moves = detected not in (None, "barrier", "traffic_cone") and rnd.random() < 0.6
    velocity = [rnd.uniform(-6, 6) if moves else 0.0 for _ in range(2)]
    if is_grid:
        # Distances that are exactly those of others, or of a threshold.
        place, velocity = [round(v * 2) / 2 for v in place], [float(round(v)) for v in velocity]
    seen = list(range(len(samples)))
    if index % 7 == 3:
        seen = [rnd.choice(seen)]
    elif index % 7 == 5 and len(seen) > 3:
        seen.remove(2)
    yaw = rnd.uniform(-math.pi, math.pi)
    add_annotations(tables, rnd, ids, index, category, place, size, yaw, velocity, seen, samples, seconds, rounded)


def add_annotations(tables, rnd, ids, index, category, place, size, yaw, velocity, seen, samples, seconds, rounded):
    names = ATTRIBUTES.get(CATEGORIES[category], [])
    instance, annotations = ids("instance", index), [ids("annotation", index, k) for k in seen]
    for j, k in enumerate(seen):
        moved = [place[i] + velocity[i] * seconds[k] for i in range(2)] + [place[2]]
        n_lidar = 0 if rnd.random() < 0.2 else rnd.randint(1, 90)
        tables["sample_annotation"].append(
            {
                "token": annotations[j],
                "sample_token": samples[k],
                "instance_token": instance,
                "visibility_token": str(rnd.randint(1, 4)),
                "attribute_tokens": [token(rnd.choice(names))] if names and rnd.random() > 0.1 else [],
                "translation": [rounded(v) for v in moved],
                "size": list(size),
                "rotation": [rounded(v) for v in turned(yaw)],
                "prev": annotations[j - 1] if j else "",
                "next": annotations[j + 1] if j + 1 < len(seen) else "",
                "num_lidar_pts": n_lidar,
                # A box that only the radar sees counts, too.
                "num_radar_pts": rnd.randint(0, 1) if n_lidar == 0 else 0,
            }
        )
    tables["instance"].append(
        {
            "token": instance,
            "category_token": token(category),
            "nbr_annotations": len(seen),
            "first_annotation_token": annotations[0],
            "last_annotation_token": annotations[-1],
        }
    )


def results(tables, seed, kind, scenes, digits=None):
    """A model's boxes: `noisy`, `edge` (ties of all sorts and odd numbers), `perfect`, `zeros` (no score above 0 or
    few), `mixed` (samples in any order, many ties across them), `few` (hardly any boxes), `wild` (infinite velocities,
    scores above 1)."""
    rnd = random.Random(f"results {seed} {kind}")
    rounded = (lambda v: round(v, digits)) if digits else (lambda v: v)
    names = {row["token"]: row["name"] for key in ("category", "attribute") for row in tables[key]}
    category = {row["token"]: names[row["category_token"]] for row in tables["instance"]}
    kept = {row["token"] for row in tables["scene"] if row["name"] in scenes}
    boxes = {row["token"]: [] for row in tables["sample"] if row["scene_token"] in kept}
    is_perfect, is_edge = kind == "perfect", kind in ("edge", "mixed", "wild")
    for row in tables["sample_annotation"]:
        if row["sample_token"] not in boxes:
            continue
        detected = CATEGORIES[category[row["instance_token"]]]
        if detected is None:
            if not is_edge:
                continue
            detected = rnd.choice(sorted(SIZES))
        n_boxes = 1 if is_perfect else int(rnd.random() < 0.05) if kind == "few" else rnd.choice([0, 1, 1, 1, 2, 3])
        for _ in range(n_boxes):
            noise = 0.0 if is_perfect else rnd.choice([0.1, 0.6, 1.5])
            name = detected if is_perfect or rnd.random() < 0.9 else rnd.choice(sorted(SIZES))
            place = [v + rnd.gauss(0, noise) for v in row["translation"]]
            # Not of unit length, on purpose.
            rotation = [v + rnd.gauss(0, 0.1 * noise) for v in row["rotation"]]
            if not is_perfect and rnd.random() < 0.3:
                w, x, y, z = rotation
                rotation = [-z, -y, x, w]
            velocity = [rnd.gauss(0, 2), rnd.gauss(0, 2)]
            score = {"perfect": 1.0, "zeros": rnd.choice([0.0, 0.0, 0.0, -0.0, 0.5])}.get(kind, rnd.random())
            own = ATTRIBUTES[name]
            attribute = rnd.choice(own) if own else ""
            if is_perfect and row["attribute_tokens"]:
                attribute = names[row["attribute_tokens"][0]]
            box = {
                "sample_token": row["sample_token"],
                "translation": [rounded(v) for v in place],
                "size": [rounded(max(0.05, v * (1 + rnd.gauss(0, 0.2 * noise)))) for v in row["size"]],
                "rotation": [rounded(v) for v in rotation],
                "velocity": [rounded(v) for v in velocity],
                "detection_name": name,
                "detection_score": rounded(score),
                "attribute_name": attribute,
            }
            if is_edge:
                make_odd(box, rnd, sorted(boxes), kind)
            boxes[row["sample_token"]].append(box)
    order = list(boxes)
    if kind == "mixed":
        rnd.shuffle(order)
    for sample in order:
        if not is_perfect:
            rnd.shuffle(boxes[sample])
    return {"meta": META, "results": {sample: boxes[sample][:500] for sample in order}}


def make_odd(box, rnd, samples, kind):
    box["translation"] = [round(v * 2) / 2 for v in box["translation"]]
    box["detection_score"] = rnd.choice([0.0, 0.25, 0.5, 0.5, 0.75, 1.0])
    if kind == "wild":
        box["detection_score"] = rnd.choice([0, 1, 7.5, 0.3, 1e300])
        if rnd.random() < 0.1:
            box["velocity"][rnd.randint(0, 1)] = rnd.choice([math.inf, -math.inf])
        if rnd.random() < 0.1:
            box["rotation"] = [0.0, 0.0, 0.0, 0.0]
    if rnd.random() < 0.1:
        box["velocity"] = [math.nan, math.nan]
    if rnd.random() < 0.05:
        box["rotation"] = [-v for v in box["rotation"]]
    if rnd.random() < 0.02:
        box["sample_token"] = rnd.choice(samples + ["nowhere"])
    if rnd.random() < 0.03:
        box["num_pts"] = 0
    if rnd.random() < 0.03:
        box["attribute_name"] = "cycle.with_rider"
