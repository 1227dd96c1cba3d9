"""Writes a split of Waymo's version 2 with pyarrow, as the dataset is written, and compares what ours reads of it.

Called with PROGRAM FOLDER. One line a check: `ok NAME` or `failed NAME: reason`. Points are computed here from the
published description of range images, with 4 x 4 matrices, and share no line with ours.
"""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOP, FRONT, SIDE_LEFT, SIDE_RIGHT, REAR = 1, 2, 3, 4, 5
# Places are computed in double precision on both sides and rounded to single on ours: half a step of single precision,
# 3.8e-6 m between 64 and 128 m, and some digits of doubles. The bound is what is asked for; the step is what is there.
POINT_M, STEP_M, REACH_M = 1e-4, 4e-6, 128.0
# Labels stay doubles, equal to the last digit; velocities are turned once.
VELOCITY = 1e-12
MIN_POINTS = 5000
# How the files of a segment are written. Dictionaries are on, as by default: timestamps and names of LiDARs take them.
SEGMENTS = {
    "10023947602400723454_1120_000_1140_000": {"compression": "zstd", "row_group_size": 4},
    "1005081002024129653_5313_150_5333_150": {"compression": "snappy", "row_group_size": 1},
    "10061305430875486848_1080_000_1100_000": {"compression": "gzip", "row_group_size": 7, "data_page_version": "2.0"},
    "11004685739714500220_2300_000_2320_000": {"compression": "none", "row_group_size": 1000, "data_page_size": 2048},
}
SHAPES = {TOP: (16, 90), FRONT: (10, 30), SIDE_LEFT: (10, 30), SIDE_RIGHT: (10, 30), REAR: (10, 30)}
# Where the LiDARs are on the vehicle, and how they are turned about its axes.
MOUNTINGS = {
    TOP: ((1.43, 0.0, 2.184), (0.004, -0.003, -2.594)),
    FRONT: ((4.07, 0.0, 0.691), (0.01, 0.0, 0.008)),
    SIDE_LEFT: ((3.245, 1.025, 0.981), (0.0, 0.02, 1.57)),
    SIDE_RIGHT: ((3.245, -1.025, 0.981), (-0.02, 0.0, -1.568)),
    REAR: ((-1.154, 0.0, 0.466), (0.0, 0.01, 3.137)),
}


def turn(roll, pitch, yaw):
    """Rotations about x, then y, then z; of one pixel or of many."""
    roll, pitch, yaw = (np.asarray(angle, dtype=np.float64) for angle in (roll, pitch, yaw))
    zero, one = np.zeros_like(roll), np.ones_like(roll)
    rows = lambda *values: np.stack(values, axis=-1).reshape(*roll.shape, 3, 3)
    about_x = rows(one, zero, zero, zero, np.cos(roll), -np.sin(roll), zero, np.sin(roll), np.cos(roll))
    about_y = rows(np.cos(pitch), zero, np.sin(pitch), zero, one, zero, -np.sin(pitch), zero, np.cos(pitch))
    about_z = rows(np.cos(yaw), -np.sin(yaw), zero, np.sin(yaw), np.cos(yaw), zero, zero, zero, one)
    return about_z @ about_y @ about_x


def motion(place, angles):
    """A 4 x 4 matrix."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn(*angles), place
    return matrix


def make_frame(rnd, number, is_even):
    """A frame as it is before it is written: poses, range images, labels."""
    place = np.array([2000.0 + 9.0 * number, -7000.0 + 3.0 * number, 40.0])
    angles = np.array([0.01, -0.02, 2.0 + 0.1 * number])
    frame = {"timestamp": 1_550_083_467_346_370 + 100_021 * number, "pose": motion(place, angles), "lasers": {}}
    for laser, (height, width) in SHAPES.items():
        images = []
        for _ in range(2):
            image = rnd.uniform([0.5, 0.0, 0.0, 0.0], [75.0, 3.0, 1.5, 0.0], (height, width, 4))
            image[..., 0] = np.where(rnd.random((height, width)) < 0.3, rnd.choice([-1.0, 0.0]), image[..., 0])
            image[..., 3] = np.where(rnd.random((height, width)) < 0.2, 1.0, -1.0)
            images.append(image.astype(np.float32))
        # The rear LiDAR has no second returns; another has none in every other frame.
        if laser == REAR or (laser == FRONT and number % 2):
            images[1] = None
        frame["lasers"][laser] = images
    # Rows need not stand in the order of names either.
    frame["lasers"] = {laser: frame["lasers"][laser] for laser in rnd.permutation(list(SHAPES)).tolist()}
    height, width = SHAPES[TOP]
    share = np.linspace(-1.0, 0.0, width)[None, :, None] * np.ones((height, 1, 1))
    pixel = np.concatenate([angles + share * [0.002, 0.001, 0.03], place + share * [1.2, 0.4, 0.02]], axis=-1)
    frame["pixel_poses"] = pixel.astype(np.float32)
    frame["labels"] = [make_label(rnd, k) for k in range(0 if is_even and number == 1 else 4 + number)]
    return frame


def make_label(rnd, number):
    return {
        "type": int(number % 5),
        "center": rnd.uniform(-60.0, 60.0, 3).tolist(),
        "size": rnd.uniform(0.3, 9.0, 3).tolist(),
        "heading": float(rnd.uniform(-math.pi, math.pi)),
        "speed": None if number % 4 == 3 else rnd.uniform(-15.0, 15.0, 3).tolist(),
        "n_points": int(rnd.integers(0, 3000)),
        "difficulty": [None, 0, 1, 2][number % 4],
    }


def calibrations():
    """Beams from the lowest up: a table for the top LiDAR, even ones for the others."""
    top = np.sort(-0.31 + 0.35 * (np.arange(SHAPES[TOP][0]) / (SHAPES[TOP][0] - 1.0)) ** 1.3)
    beams = {laser: None for laser in SHAPES}
    return {**beams, TOP: top}, {laser: (-1.57, 0.52) if laser != TOP else (-0.314, 0.0432) for laser in SHAPES}


def points_of(frame, laser, image):
    """Range image to the vehicle's frame at the frame's time, row by row; where there was a return."""
    beams, edges = calibrations()
    height, width = image.shape[:2]
    extrinsic = motion(*MOUNTINGS[laser])
    inclination = beams[laser]
    if inclination is None:
        low, high = edges[laser]
        inclination = low + (0.5 + np.arange(height)) / height * (high - low)
    inclination = inclination[::-1, None]
    ratios = (np.arange(width, 0, -1) - 0.5) / width
    azimuth = (ratios * 2.0 - 1.0) * np.pi - np.arctan2(extrinsic[1, 0], extrinsic[0, 0])
    distance = image[..., 0].astype(np.float64)
    sensor = np.stack(
        [
            np.cos(azimuth) * np.cos(inclination) * distance,
            np.sin(azimuth) * np.cos(inclination) * distance,
            np.sin(inclination) * distance,
            np.ones_like(distance),
        ],
        axis=-1,
    )
    places = np.einsum("ij,hwj->hwi", extrinsic, sensor)
    if laser == TOP:
        pixel = frame["pixel_poses"].astype(np.float64)
        matrices = np.zeros((height, width, 4, 4))
        matrices[..., :3, :3] = turn(pixel[..., 0], pixel[..., 1], pixel[..., 2])
        matrices[..., :3, 3], matrices[..., 3, 3] = pixel[..., 3:], 1.0
        world = np.einsum("hwij,hwj->hwi", matrices, places)
        places = np.einsum("ij,hwj->hwi", np.linalg.inv(frame["pose"]), world)
    return np.concatenate([places[..., :3], image[..., 1:2]], axis=-1)[image[..., 0] > 0.0]


def expected_points(frame):
    images = [(laser, image) for laser in sorted(frame["lasers"]) for image in frame["lasers"][laser]]
    return np.concatenate([points_of(frame, laser, image) for laser, image in images if image is not None])


def write(folder, component, segment, columns, options):
    os.makedirs(f"{folder}/{component}", exist_ok=True)
    table = pa.table({name: pa.array(values, type=kind) for name, (kind, values) in columns.items()})
    pq.write_table(table, f"{folder}/{component}/{segment}.parquet", use_dictionary=True, **options)


def image_columns(name, images):
    """A flat list and a list of three sizes, both null where there is no image."""
    values = [None if image is None else image.ravel() for image in images]
    shapes = [None if image is None else list(image.shape) for image in images]
    floats, sizes = pa.list_(pa.float32()), pa.list_(pa.int32(), 3)
    return {f"{name}.values": (floats, values), f"{name}.shape": (sizes, shapes)}


def write_segment(folder, segment, frames, options):
    """Types as the dataset's own schema has them: names of LiDARs and types in 8 bits, transforms of 16 doubles."""
    name_of = lambda n: {"key.segment_context_name": (pa.string(), [segment] * n)}
    transform, numbers = pa.list_(pa.float64(), 16), pa.list_(pa.float64())
    times = lambda count: (pa.int64(), [f["timestamp"] for f in frames for _ in range(count(f))])
    component = lambda name, columns: write(folder, name, segment, columns, options)
    component(
        "vehicle_pose",
        {
            **name_of(len(frames)),
            "key.frame_timestamp_micros": times(lambda f: 1),
            "[VehiclePoseComponent].world_from_vehicle.transform": (transform, [f["pose"].ravel() for f in frames]),
        },
    )
    rows = [(laser, images) for f in frames for laser, images in f["lasers"].items()]
    component(
        "lidar",
        {
            **name_of(len(rows)),
            "key.frame_timestamp_micros": times(lambda f: len(f["lasers"])),
            "key.laser_name": (pa.int8(), [laser for laser, _ in rows]),
            **image_columns("[LiDARComponent].range_image_return1", [images[0] for _, images in rows]),
            **image_columns("[LiDARComponent].range_image_return2", [images[1] for _, images in rows]),
        },
    )
    component(
        "lidar_pose",
        {
            **name_of(len(frames)),
            "key.frame_timestamp_micros": times(lambda f: 1),
            "key.laser_name": (pa.int8(), [TOP] * len(frames)),
            **image_columns("[LiDARPoseComponent].range_image_return1", [f["pixel_poses"] for f in frames]),
        },
    )
    beams, edges = calibrations()
    prefix = "[LiDARCalibrationComponent]"
    component(
        "lidar_calibration",
        {
            **name_of(len(SHAPES)),
            "key.laser_name": (pa.int8(), list(SHAPES)),
            f"{prefix}.extrinsic.transform": (transform, [motion(*MOUNTINGS[laser]).ravel() for laser in SHAPES]),
            f"{prefix}.beam_inclination.min": (pa.float64(), [edges[laser][0] for laser in SHAPES]),
            f"{prefix}.beam_inclination.max": (pa.float64(), [edges[laser][1] for laser in SHAPES]),
            f"{prefix}.beam_inclination.values": (numbers, [beams[laser] for laser in SHAPES]),
        },
    )
    labels = [label for f in frames for label in f["labels"]]
    prefix = "[LiDARBoxComponent]"
    axes = lambda name, key: {
        f"{prefix}.{name}.{axis}": (pa.float64(), [label[key] and label[key][k] for label in labels])
        for k, axis in enumerate("xyz")
    }
    levels = (pa.int8(), [label["difficulty"] for label in labels])
    counts = (pa.int64(), [label["n_points"] for label in labels])
    component(
        "lidar_box",
        {
            **name_of(len(labels)),
            "key.frame_timestamp_micros": times(lambda f: len(f["labels"])),
            "key.laser_object_id": (pa.string(), [f"object {k}" for k in range(len(labels))]),
            **axes("box.center", "center"),
            **axes("box.size", "size"),
            f"{prefix}.box.heading": (pa.float64(), [label["heading"] for label in labels]),
            f"{prefix}.type": (pa.int8(), [label["type"] for label in labels]),
            f"{prefix}.num_lidar_points_in_box": counts,
            f"{prefix}.num_top_lidar_points_in_box": (pa.int64(), [0] * len(labels)),
            **axes("speed", "speed"),
            **axes("acceleration", "speed"),
            f"{prefix}.difficulty_level.detection": levels,
            f"{prefix}.difficulty_level.tracking": (pa.int8(), [1] * len(labels)),
        },
    )


def run(program, root, split):
    return subprocess.run([program, root, split], capture_output=True, text=True)


def points(frames, lines):
    worst, n_points = 0.0, 0
    for frame, line in zip(frames, lines):
        theirs, mine = expected_points(frame), np.array(line["points"], dtype=np.float32)
        if theirs.shape != mine.shape:
            raise AssertionError(f"{len(mine)} points instead of {len(theirs)}")
        if not np.array_equal(theirs[:, 3].astype(np.float32), mine[:, 3]):
            raise AssertionError("other intensities")
        if np.max(np.abs(theirs[:, :3])) >= REACH_M:
            raise AssertionError("points beyond the reach of the tolerance")
        worst = max(worst, float(np.max(np.abs(theirs[:, :3] - mine[:, :3]))))
        n_points += len(mine)
    if n_points < MIN_POINTS or not worst <= min(POINT_M, STEP_M):
        raise AssertionError(f"{n_points} points, places differ by {worst:.2e} m; {STEP_M:.0e} m are allowed")
    return f"{n_points} points, places differ by at most {worst:.1e} m"


def labels(frames, lines):
    worst, n_labels = 0.0, 0
    for frame, line in zip(frames, lines):
        if len(line["labels"]) != len(frame["labels"]):
            raise AssertionError(f"{len(line['labels'])} labels instead of {len(frame['labels'])}")
        for own, label in zip(line["labels"], frame["labels"]):
            kind, center, size, heading, velocity, count, level = own
            exact = [label["type"], label["center"], label["size"], label["heading"], label["n_points"]]
            if [kind, center, size, heading, count] != exact or level != (label["difficulty"] or 0):
                raise AssertionError(f"{own} is not {label}")
            # From the world's axes to the vehicle's.
            turned = np.linalg.inv(frame["pose"][:3, :3]) @ (label["speed"] or [0.0] * 3)
            worst = max(worst, float(np.max(np.abs(turned[:2] - velocity))))
            n_labels += 1
    if not worst <= VELOCITY:
        raise AssertionError(f"velocities differ by {worst:.2e} m/s; {VELOCITY:.0e} are allowed")
    return f"{n_labels} labels, velocities differ by at most {worst:.1e} m/s"


def null_in_a_list(program, root, frames):
    """A list with a null in it is an error of that file and record, not a shorter list."""
    segment, options = next(iter(SEGMENTS.items()))
    write_segment(f"{root}/nulls", segment, frames, options)
    path = f"{root}/nulls/lidar/{segment}.parquet"
    table = pq.read_table(path)
    column = "[LiDARComponent].range_image_return1.values"
    rows = table[column].to_pylist()
    # In the second group.
    rows[5][17] = None
    where = table.schema.get_field_index(column)
    pq.write_table(table.set_column(where, column, pa.array(rows, type=pa.list_(pa.float32()))), path, **options)
    done = run(program, root, "nulls")
    if done.returncode != 1 or "a null in it" not in done.stderr or "record 6" not in done.stderr:
        raise AssertionError(f"it ends with {done.returncode} and says {done.stderr.strip()}")
    return "record 6" + done.stderr.splitlines()[0].partition("record 6")[2]


def main(program, root):
    rnd, made = np.random.default_rng(7), {}
    for number, (segment, options) in enumerate(SEGMENTS.items()):
        frames = [make_frame(rnd, k, number % 2 == 0) for k in range(3)]
        made[segment] = frames
        # Rows need not stand in the order of time.
        write_segment(f"{root}/training", segment, frames if number % 2 else frames[::-1], options)
    done = run(program, root, "training")
    if done.returncode:
        print(f"failed waymo-parquet: {done.stderr.strip()}")
        return
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = [f"{segment}/{k:03}" for segment in sorted(SEGMENTS) for k in range(3)]
    found = [line["name"] for line in lines]
    print("ok waymo-parquet names" if found == names else f"failed waymo-parquet names: {found}")
    for segment, options in SEGMENTS.items():
        of_segment = [line for line in lines if line["name"].startswith(segment)]
        if [line["timestamp_micros"] for line in of_segment] != [f["timestamp"] for f in made[segment]]:
            print(f"failed waymo-parquet {segment}: frames in another order")
        title = f"{options['compression']}, {options['row_group_size']} rows a group"
        say(f"waymo-parquet {title}, points", points, made[segment], of_segment)
        say(f"waymo-parquet {title}, labels", labels, made[segment], of_segment)
    say("waymo-parquet null within a list", null_in_a_list, program, root, next(iter(made.values())))


main(sys.argv[1], sys.argv[2])
