"""Reads generated drives with the official devkit and with ours, and compares every point, box, velocity and split.

Called with what comes after `generate.py`: PROGRAM FOLDER. One line a check: `ok NAME` or `failed NAME: reason`.
"""

import shutil
import subprocess
import sys

os.environ["MPLBACKEND"] = "Agg"
os.environ["TQDM_DISABLE"] = "1"

import numpy as np
from nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.splits import create_splits_scenes
from pyquaternion import Quaternion

CHANNEL = "LIDAR_TOP"
VERSION = "v1.0-mini"
SEEDS = (0, 1, 2)
N_SWEEPS = (1, 10)
# Both compute in double precision and round to single; where their last digits differ, so may the rounding: by one
# step of single precision, 7.6e-6 between 64 and 128 m. Nothing lies beyond that.
POSITION_M, REACH_M = 8e-6, 128.0
# Boxes of ours are single precision as well, and their angles; a velocity of 50 m/s has steps of 3.8e-6.
BOX_M, YAW_RAD, BOX_VELOCITY = 8e-6, 5e-7, 4e-6
# The same subtractions and the same division, all in double precision.
VELOCITY = 0.0
# Fewer than these would show little.
MIN_POINTS, MIN_CLOSE, MIN_VELOCITIES, MIN_UNKNOWN = 20_000, 200, 100, 10


def tilted(rnd, yaw):
    """About z, and a little about the others; half of them not of unit length, as rounded tables have them."""
    length = rnd.choice([1.0, rnd.uniform(0.9, 1.1)])
    rotation = Quaternion(axis=[0, 0, 1], radians=yaw) * Quaternion(axis=[1, 0, 0], radians=rnd.gauss(0, 0.03))
    rotation = rotation * Quaternion(axis=[0, 1, 0], radians=rnd.gauss(0, 0.03))
    return [float(v) * length for v in rotation.elements]


def write_cloud(numbers, path):
    """Points all around: some on the vehicle, some just where it is taken to end, a few that are no numbers."""
    n_points = int(numbers.integers(300, 500))
    points = numbers.uniform(-60.0, 60.0, (n_points, 5))
    points[:40, :2] = numbers.uniform(-1.5, 1.5, (40, 2))
    points[40:60, :2] = numbers.choice([-1.0, 1.0, 0.5, np.nextafter(np.float32(1.0), np.float32(0.0))], (20, 2))
    points[:, 2] = numbers.uniform(-3.0, 5.0, n_points)
    points[:, 3] = numbers.integers(0, 256, n_points)
    points[:, 4] = numbers.integers(0, 32, n_points)
    points[60:64, :4] = np.where(numbers.random((4, 4)) < 0.4, np.nan, points[60:64, :4])
    numbers.shuffle(points)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    points.astype("<f4").tofile(path)


def drives(folder, seed):
    """The generated scenes with sweeps between their samples and before the first, poses that tilt, a LiDAR that is
    mounted anew within a scene, and a camera."""
    tables = data_set(folder, seed, n_samples=5, version=VERSION)
    rnd, numbers = random.Random(f"sweeps {seed}"), np.random.default_rng(seed)
    poses = {row["token"]: row for row in tables["ego_pose"]}
    yaws = {t: 2 * math.atan2(row["rotation"][3], row["rotation"][0]) for t, row in poses.items()}
    for row in poses.values():
        row["rotation"] = tilted(rnd, yaws[row["token"]])
    # A sample's time is not quite that of its key sweep, and things go up and down as well.
    for row in tables["sample"]:
        row["timestamp"] += rnd.randint(-4000, 4000)
    for row in tables["sample_annotation"]:
        row["translation"][2] += rnd.gauss(0, 0.3)
    tables["sensor"].append({"token": token("camera"), "channel": "CAM_FRONT", "modality": "camera"})
    for mounting in list(tables["calibrated_sensor"]):
        camera = {"token": token(mounting["token"], "c"), "sensor_token": token("camera")}
        again = {"token": token(mounting["token"], "2"), "rotation": tilted(rnd, -1.5), "translation": [0.9, 0.1, 1.9]}
        tables["calibrated_sensor"] += [{**mounting, **again}, {**mounting, **camera, "translation": [1.7, 0.0, 1.5]}]
    # Before the first samples of the three scenes: none, fewer than are asked for, enough.
    at_first = [0, 4, 11]
    for key in sorted(tables["sample_data"], key=lambda row: row["timestamp"]):
        n_sweeps = rnd.choice([9, 9, 9, 11, 4, 0]) if key["prev"] else at_first.pop(0)
        chain = between(tables, rnd, poses[key["token"]], yaws[key["token"]], key, n_sweeps)
        for row in [*chain, key]:
            write_cloud(numbers, f"{folder}/{row['filename']}")
        image = {"token": token(key["token"], "image"), "calibrated_sensor_token": token(key["calibrated_sensor_token"], "c")}
        image.update(fileformat="jpg", filename=f"samples/CAM_FRONT/{key['timestamp']}.jpg", height=900, width=1600)
        tables["sample_data"].append({**key, **image, "prev": "", "next": ""})
    # Neither the devkit nor ours may go by the order of a table.
    for name in ("sample_data", "ego_pose", "calibrated_sensor"):
        rnd.shuffle(tables[name])
    write_tables(folder, VERSION, tables, {"ours": MINI_SCENES[1:], "one": MINI_SCENES[:1]})
    return tables


def between(tables, rnd, pose, yaw, key, n_sweeps):
    """Puts sweeps before a key sweep and after the one before it; gives them."""
    rows = {row["token"]: row for row in tables["sample_data"]}
    before = rows.get(key["prev"])
    chain = []
    for k in range(n_sweeps):
        lag_us = (n_sweeps - k) * 45_000 + rnd.randint(-900, 900)
        name = token(key["token"], "sweep", k)
        place = [v - lag_us * 1e-6 * 7.0 * f(yaw) for v, f in zip(pose["translation"], (math.cos, math.sin))]
        turn = yaw - lag_us * 1e-6 * rnd.uniform(0.1, 0.4)
        tables["ego_pose"].append(
            {
                "token": name,
                "timestamp": key["timestamp"] - lag_us,
                "rotation": tilted(rnd, turn),
                "translation": [*place, rnd.gauss(0, 0.1)],
            }
        )
        mounting = key["calibrated_sensor_token"]
        row = {
            **key,
            "token": name,
            "ego_pose_token": name,
            "calibrated_sensor_token": token(mounting, "2") if rnd.random() < 0.2 else mounting,
            "timestamp": key["timestamp"] - lag_us,
            "is_key_frame": False,
            "filename": f"sweeps/LIDAR_TOP/{name}.pcd.bin",
        }
        chain.append(row)
    tables["sample_data"] += chain
    links = [row for row in (before, *chain, key) if row]
    for earlier, later in zip(links, links[1:]):
        earlier["next"], later["prev"] = later["token"], earlier["token"]
    return chain


def ours(program, folder, n_sweeps):
    """What the program reads: clouds by sample, what it says of them, velocities by annotation, splits."""
    out = f"{folder}/ours-{n_sweeps}"
    subprocess.run([program, folder, VERSION, str(n_sweeps), "devkit", out], check=True)
    read = lambda name: json.load(open(f"{out}/{name}.json"))
    index = read("index")
    clouds = {t: np.fromfile(f"{out}/{t}.bin", dtype="<f4").reshape(-1, 5) for t in index}
    return clouds, index, read("velocity"), read("splits")


def largest(differences, limit, what):
    worst = max((float(d) for d in differences), default=0.0)
    if not worst <= limit:
        raise AssertionError(f"{what} differ by {worst:.2e}; at most {limit:.0e} is allowed")
    return worst


def clouds(nusc, got, n_sweeps):
    """Every point: its place, intensity and time lag, and the order."""
    ours_of, index, _, _ = got
    if set(ours_of) != {sample["token"] for sample in nusc.sample}:
        raise AssertionError("other samples")
    differences, n_points, n_close, lengths = [], 0, 0, set()
    for sample in nusc.sample:
        cloud, lags = LidarPointCloud.from_file_multisweep(nusc, sample, CHANNEL, CHANNEL, nsweeps=n_sweeps)
        points = np.vstack([cloud.points, lags.astype("<f4")]).T
        # A point that is no number is none of ours.
        is_finite = np.all(np.isfinite(points), axis=1)
        theirs, mine = points[is_finite], ours_of[sample["token"]]
        said = index[sample["token"]]
        if theirs.shape != mine.shape or said["n_not_finite"] != int(np.sum(~is_finite)):
            raise AssertionError(f"{len(mine)} points and {said['n_not_finite']} none, the devkit has {len(theirs)}")
        if not np.array_equal(theirs[:, 3:], mine[:, 3:]):
            raise AssertionError("other intensities or time lags")
        if np.max(np.abs(theirs[:, :3])) >= REACH_M:
            raise AssertionError("points beyond the reach of the tolerance")
        differences.append(np.max(np.abs(theirs[:, :3].astype(float) - mine[:, :3])))
        n_points, n_close = n_points + len(mine), n_close + said["n_close"]
        lengths.add(said["n_sweeps"])
    if n_sweeps > 1 and (n_points < MIN_POINTS or n_close < MIN_CLOSE or len(lengths) < 3):
        raise AssertionError(f"only {n_points} points, {n_close} near ones, {lengths} sweeps")
    worst = largest(differences, POSITION_M, "positions")
    return f"{n_points} points of {min(lengths)} to {max(lengths)} sweeps, places differ by at most {worst:.1e} m"


def velocities(nusc, got, _):
    """Every annotation's, or that it has none."""
    differences, n_unknown = [], 0
    for annotation in nusc.sample_annotation:
        theirs = nusc.box_velocity(annotation["token"])
        mine = np.array([math.nan if v is None else v for v in got[2][annotation["token"]]])
        if np.all(np.isnan(theirs)) and np.all(np.isnan(mine)):
            n_unknown += 1
        else:
            differences.append(np.max(np.abs(theirs - mine)))
    if len(differences) < MIN_VELOCITIES or n_unknown < MIN_UNKNOWN:
        raise AssertionError(f"only {len(differences)} velocities, {n_unknown} unknown")
    worst = largest(differences, VELOCITY, "velocities")
    return f"{len(differences)} known, {n_unknown} unknown, differ by at most {worst:.1e} m/s"


def boxes(nusc, got, _):
    """Those of the classes of the benchmark, in the frame of the key sweep."""
    places, yaws, speeds, n_boxes = [], [], [], 0
    for sample in nusc.sample:
        recorded = nusc.get("sample_data", sample["data"][CHANNEL])
        _, found, _ = nusc.get_sample_data(recorded["token"])
        found = [box for box in found if CATEGORIES[box.name]]
        mine = got[1][sample["token"]]["boxes"]
        if [CATEGORIES[box.name] for box in found] != [box["class"] for box in mine]:
            raise AssertionError("boxes of other classes")
        for box, own in zip(found, mine):
            w, l, h = box.wlh
            places.append(np.max(np.abs(np.subtract([*box.center, l, w, h], own["center"] + own["size"]))))
            ahead = box.orientation.rotation_matrix[:, 0]
            off = own["yaw"] - math.atan2(ahead[1], ahead[0])
            yaws.append(abs(math.remainder(off, 2 * math.pi)))
            # What ours leaves unknown is zero, and the ground's velocity has no part upwards.
            velocity = np.nan_to_num(np.array([*nusc.box_velocity(box.token)[:2], 0.0]))
            for table, row in (("ego_pose", "ego_pose_token"), ("calibrated_sensor", "calibrated_sensor_token")):
                rotation = Quaternion(nusc.get(table, recorded[row])["rotation"])
                velocity = rotation.rotation_matrix.T @ velocity
            speeds.append(np.max(np.abs(velocity[:2] - own["velocity"])))
            if own["n_points"] != nusc.get("sample_annotation", box.token)["num_lidar_pts"]:
                raise AssertionError(f"{own['n_points']} points in {box.token}")
            n_boxes += 1
    worst = [largest(places, BOX_M, "places"), largest(yaws, YAW_RAD, "angles"), largest(speeds, BOX_VELOCITY, "velocities")]
    return f"{n_boxes} boxes, differ by at most {worst[0]:.1e} m, {worst[1]:.1e} rad, {worst[2]:.1e} m/s"


def splits(_, got, __):
    """The built-in splits, scene by scene."""
    theirs = {name: sorted(scenes) for name, scenes in create_splits_scenes().items()}
    if theirs != got[3]:
        raise AssertionError(f"other scenes: {sorted(name for name in theirs if theirs[name] != got[3].get(name))}")
    return f"{len(theirs)} splits, {sum(map(len, theirs.values()))} names of scenes"


def main(program, scratch):
    for seed in SEEDS:
        folder = f"{scratch}/{seed}"
        drives(folder, seed)
        nusc = NuScenes(version=VERSION, dataroot=folder, verbose=False)
        got = None
        for n_sweeps in N_SWEEPS:
            got = ours(program, folder, n_sweeps)
            say(f"nuscenes-data {seed}, sweeps asked for: {n_sweeps}", clouds, nusc, got, n_sweeps)
        say(f"nuscenes-data {seed}, velocities", velocities, nusc, got, None)
        say(f"nuscenes-data {seed}, boxes", boxes, nusc, got, None)
        if seed == SEEDS[-1]:
            say("nuscenes-data, splits", splits, nusc, got, None)
        shutil.rmtree(folder)


main(sys.argv[1], sys.argv[2])
