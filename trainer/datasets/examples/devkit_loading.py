"""Reads every sample of a data set with the official devkit, once for each line of standard input.

Called with the folder of the data set, its version and the number of sweeps; answers with points and seconds.
"""

import os
import sys
import time

os.environ["MPLBACKEND"] = "Agg"

from nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud

CHANNEL = "LIDAR_TOP"

nusc = NuScenes(version=sys.argv[2], dataroot=sys.argv[1], verbose=False)
for _ in sys.stdin:
    start = time.perf_counter()
    n_points = 0
    for sample in nusc.sample:
        cloud, _ = LidarPointCloud.from_file_multisweep(nusc, sample, CHANNEL, CHANNEL, nsweeps=int(sys.argv[3]))
        n_points += cloud.nbr_points()
    print(n_points, time.perf_counter() - start, flush=True)
