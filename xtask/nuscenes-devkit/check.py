"""Checks a data set of ours with the official devkit: `ok NAME` or `failed NAME: reason`, one line each.

Called with the folder of a simulated data set and the number of scenes that it must hold, or with that of a
converted one and `converted`: there every sample is a scene of its own.
"""

import os
import sys

os.environ["MPLBACKEND"] = "Agg"
os.environ["TQDM_DISABLE"] = "1"

import numpy as np
from nuscenes import NuScenes
from nuscenes.eval.common.loaders import get_samples_of_custom_split, load_gt_of_sample_tokens
from nuscenes.eval.detection.constants import DETECTION_NAMES
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
from nuscenes.utils.splits import get_scenes_of_split
from pyquaternion import Quaternion
from scipy.spatial import cKDTree

CHANNEL = "LIDAR_TOP"
N_SWEEPS = 10
# Fewer points than these in all boxes, or of a sweep on what stands still, would show nothing.
MIN_POINTS, MIN_STATIC = 1000, 50
# The deliberate error of pose that a sweep of the aggregation must be told from.
SHIFT_M, TURN_RAD = 0.3, np.radians(1.0)
# Points taken of a sweep; points of the others that make a surface, how far around they may lie, how thick it may be.
MAX_QUERIES, N_NEIGHBOURS, MAX_REACH_M, MAX_THICKNESS_M = 500, 8, 1.0, 0.05
# With that error of pose, a sweep's points lie at least this many times farther from the surface.
MIN_SHARPNESS = 2.0


def is_true(condition, reason):
    if not condition:
        raise AssertionError(reason)


def all_tables(nusc, n_scenes):
    """The devkit found all thirteen tables, and each has rows."""
    rows = {name: len(getattr(nusc, name)) for name in nusc.table_names}
    is_true(len(rows) == 13 and all(rows.values()), f"rows: {rows}")
    is_true(rows["scene"] == n_scenes, f"{rows['scene']} scenes instead of {n_scenes}")
    is_true((rows["category"], rows["attribute"], rows["visibility"]) == (23, 8, 4), f"rows: {rows}")
    is_true(rows["ego_pose"] == rows["sample_data"], f"rows: {rows}")
    return ", ".join(f"{n} {name}" for name, n in rows.items())


def rates(nusc, _):
    """Key frames at 2 Hz, sweeps at 20 Hz, from the first sweep of a scene to its last."""
    for scene in nusc.scene:
        sample = nusc.get("sample", scene["first_sample_token"])
        sweep = nusc.get("sample_data", sample["data"][CHANNEL])
        while sweep["prev"]:
            sweep = nusc.get("sample_data", sweep["prev"])
        times = []
        while True:
            times.append((sweep["timestamp"], sweep["is_key_frame"]))
            if not sweep["next"]:
                break
            sweep = nusc.get("sample_data", sweep["next"])
        steps = np.diff([t for t, _ in times])
        key_steps = np.diff([t for t, is_key in times if is_key])
        is_true(np.all(np.abs(steps - 50_000) <= 1), f"{scene['name']}: steps {np.unique(steps)} us")
        is_true(np.all(np.abs(key_steps - 500_000) <= 1), f"{scene['name']}: key frames {np.unique(key_steps)} us")
        is_true(len(key_steps) + 1 == scene["nbr_samples"], f"{scene['name']}: {len(key_steps) + 1} key frames")
    return f"{len(times)} sweeps a scene"


def points_in_boxes(nusc, _):
    """The devkit's own count of points in every box is that of the table."""
    n_boxes = n_points = 0
    for sample in nusc.sample:
        path, boxes, _ = nusc.get_sample_data(sample["data"][CHANNEL])
        points = LidarPointCloud.from_file(path).points[:3]
        for box in boxes:
            stored = nusc.get("sample_annotation", box.token)["num_lidar_pts"]
            counted = int(points_in_box(box, points).sum())
            is_true(stored == counted, f"box {box.token} of {box.name}: {stored} stored, {counted} counted")
            n_boxes, n_points = n_boxes + 1, n_points + counted
    is_true(n_points >= MIN_POINTS, f"only {n_points} points in {n_boxes} boxes")
    return f"{n_points} points in {n_boxes} boxes"


def classes(nusc, n_scenes):
    """Any two scenes hold all ten classes between them."""
    of_scene = {scene["token"]: set() for scene in nusc.scene}
    for annotation in nusc.sample_annotation:
        scene = nusc.get("sample", annotation["sample_token"])["scene_token"]
        if annotation["num_lidar_pts"] > 0:
            of_scene[scene].add(category_to_detection_name(annotation["category_name"]))
    sets = list(of_scene.values())
    is_true(len(sets) >= 2, f"{len(sets)} scenes")
    for i, first in enumerate(sets):
        for second in sets[i + 1 :]:
            missing = set(DETECTION_NAMES) - first - second
            is_true(not missing, f"two scenes lack {sorted(missing)}")
    return f"{[len(s - {None}) for s in sets]} classes by scene"


def splits(nusc, n_scenes):
    """The devkit reads the custom splits, and the evaluation's loader the boxes of the scenes in them."""
    prefix = nusc.version.removeprefix("v1.0-")
    train, val = (get_scenes_of_split(f"{prefix}_{name}", nusc) for name in ("train", "val"))
    is_true(sorted(train + val) == sorted(s["name"] for s in nusc.scene), f"{train} and {val}")
    is_true(len(train) + len(val) == n_scenes, f"{len(train)} and {len(val)} scenes")
    tokens = get_samples_of_custom_split(f"{prefix}_train", nusc)
    boxes = load_gt_of_sample_tokens(nusc, tokens, DetectionBox)
    n_expected = sum(nusc.get("scene", nusc.field2token("scene", "name", n)[0])["nbr_samples"] for n in train)
    is_true(len(boxes.sample_tokens) == n_expected and boxes.all, f"{len(boxes.sample_tokens)} samples")
    return f"{len(train)} scenes for training, {len(val)} for validation, {len(boxes.all)} boxes to evaluate"


def velocities(nusc, _):
    """The devkit's velocities go with how the boxes move and are named."""
    moving, standing, beside = [], [], []
    for annotation in nusc.sample_annotation:
        velocity = nusc.box_velocity(annotation["token"])[:2]
        names = [nusc.get("attribute", token)["name"] for token in annotation["attribute_tokens"]]
        if not (annotation["prev"] and annotation["next"]) or np.any(np.isnan(velocity)):
            continue
        speed = float(np.linalg.norm(velocity))
        if any(name in ("vehicle.parked", "pedestrian.sitting_lying_down") for name in names) or not names:
            standing.append(speed)
        if any(name in ("vehicle.moving", "pedestrian.moving") for name in names):
            moving.append(speed)
        if names == ["vehicle.moving"] and speed > 2.0:
            ahead = Quaternion(annotation["rotation"]).rotation_matrix[:2, 0]
            angle = np.arctan2(ahead[0] * velocity[1] - ahead[1] * velocity[0], float(ahead @ velocity))
            beside.append(np.degrees(abs(angle)))
    is_true(moving and standing and beside, f"{len(moving)} moving, {len(standing)} standing")
    # A parked car, a barrier or a cone does not move at all.
    is_true(max(standing) < 0.01, f"something that stands moves at {max(standing):.2f} m/s")
    is_true(np.median(moving) > 0.5 and max(moving) < 45.0, f"moving at {np.median(moving):.2f}..{max(moving):.2f} m/s")
    # Vehicles go where they point; half a second of a tight turn is some degrees.
    is_true(np.percentile(beside, 95) < 15.0, f"{np.percentile(beside, 95):.1f} degrees beside the heading")
    return (
        f"{len(moving)} moving (median {np.median(moving):.1f} m/s, headings within "
        f"{np.percentile(beside, 95):.1f} degrees), {len(standing)} standing"
    )


def static_points(points, boxes, ground_z):
    """Points above the ground and in no box, the boxes taken a little larger."""
    points = points[:, (points[2] > ground_z + 0.5) & (np.hypot(points[0], points[1]) < 50.0)]
    keep = np.ones(points.shape[1], dtype=bool)
    # The devkit's test only where it can say yes: there are a thousand boxes, and most are far.
    tree = cKDTree(points.T)
    for box in boxes:
        near = tree.query_ball_point(box.center, 0.5 * 1.3 * np.linalg.norm(box.wlh))
        if near:
            keep[near] &= ~points_in_box(box, points[:, near], wlh_factor=1.3)
    return points[:, keep]


def moving_trails(nusc, sweep, n_sweeps):
    """The boxes of a key frame at the times of the sweeps before it, in its sensor frame."""
    sample = nusc.get("sample", sweep["sample_token"])
    cs = nusc.get("calibrated_sensor", sweep["calibrated_sensor_token"])
    pose = nusc.get("ego_pose", sweep["ego_pose_token"])
    trail = []
    for token in sample["anns"]:
        velocity = np.nan_to_num(nusc.box_velocity(token))
        for step in range(n_sweeps):
            box = nusc.get_box(token)
            box.translate(-velocity * 0.05 * step)
            for frame in (pose, cs):
                box.translate(-np.array(frame["translation"]))
                box.rotate(Quaternion(frame["rotation"]).inverse)
            trail.append(box)
    return trail


def standing_clouds(nusc, sample):
    """What stands still in each of the ten sweeps that the devkit aggregates at a key frame."""
    sweep = nusc.get("sample_data", sample["data"][CHANNEL])
    mounting = nusc.get("calibrated_sensor", sweep["calibrated_sensor_token"])
    cloud, lags = LidarPointCloud.from_file_multisweep(nusc, sample, CHANNEL, CHANNEL, nsweeps=N_SWEEPS)
    lags = np.round(lags[0], 3)
    expected = np.round(np.arange(N_SWEEPS) * 0.05, 3)
    is_true(np.array_equal(np.unique(lags), expected), f"lags of {np.unique(lags)} s")
    trail = moving_trails(nusc, sweep, N_SWEEPS)
    ground_z = -mounting["translation"][2]
    return [static_points(cloud.points[:3, lags == lag], trail, ground_z) for lag in expected]


def distance_to_surface(cloud, others):
    """The median distance from a point to the flat surface that the points of other sweeps around it make."""
    cloud = cloud.T[:: max(1, cloud.shape[1] // MAX_QUERIES)]
    reach, neighbours = others.query(cloud, k=N_NEIGHBOURS)
    near = reach[:, -1] < MAX_REACH_M
    points, around = cloud[near], others.data[neighbours[near]]
    middle = around.mean(axis=1, keepdims=True)
    spread = np.einsum("nki,nkj->nij", around - middle, around - middle) / N_NEIGHBOURS
    squares, axes = np.linalg.eigh(spread)
    thick, wide = np.sqrt(np.maximum(squares[:, :2], 0.0)).T
    # Neither leaves nor a single line of points.
    flat = (thick < MAX_THICKNESS_M) & (wide > 2.0 * thick)
    is_true(np.sum(flat) >= MIN_STATIC, f"only {np.sum(flat)} points of a sweep on flat surfaces of the others")
    return float(np.median(np.abs(np.sum((points - middle[:, 0]) * axes[:, :, 0], axis=1))[flat]))


def misplaced(cloud):
    """The points of a sweep whose pose is wrong."""
    turn = Quaternion(axis=[0, 0, 1], radians=TURN_RAD).rotation_matrix
    return turn @ cloud + SHIFT_M * np.array([[np.sqrt(0.5)], [np.sqrt(0.5)], [0.0]])


def ten_sweeps(nusc, _):
    """In the devkit's aggregation of ten sweeps, what stands still is sharp: every sweep fits the nine others."""
    sharp, blurred = [], []
    # Every key frame: the first, too, has nine sweeps before it.
    for sample in nusc.sample:
        clouds = standing_clouds(nusc, sample)
        for i, cloud in enumerate(clouds):
            others = cKDTree(np.hstack(clouds[:i] + clouds[i + 1 :]).T)
            sharp.append(distance_to_surface(cloud, others))
            blurred.append(distance_to_surface(misplaced(cloud), others))
    worst = np.min(np.array(blurred) / np.array(sharp))
    words = (
        f"{np.median(sharp):.3f} m (at worst {np.max(sharp):.3f}) from the surface of the other sweeps, "
        f"{np.median(blurred):.3f} m (at best {np.min(blurred):.3f}) with a wrong pose; smallest ratio {worst:.2f}"
    )
    is_true(worst > MIN_SHARPNESS, words)
    return words


SIMULATED = (all_tables, rates, points_in_boxes, classes, splits, velocities, ten_sweeps)
CONVERTED = (all_tables, points_in_boxes, splits)


def main(folder, n_scenes):
    is_converted = n_scenes == "converted"
    title = "nuscenes, converted" if is_converted else "nuscenes"
    try:
        nusc = NuScenes(version="v1.0-converted" if is_converted else "v1.0-sim", dataroot=folder, verbose=False)
        print(f"ok {title}: the devkit loads it")
    except Exception as error:  # Whatever it is, the data set does not load.
        print(f"failed {title}: {' '.join(str(error).split())}")
        return
    for check in CONVERTED if is_converted else SIMULATED:
        try:
            print(f"ok {title} {check.__name__}: {check(nusc, len(nusc.sample) if is_converted else int(n_scenes))}")
        except Exception as error:  # Whatever it is, it is this check's failure.
            print(f"failed {title} {check.__name__}: {' '.join(str(error).split()) or repr(error)}")


main(sys.argv[1], sys.argv[2])
