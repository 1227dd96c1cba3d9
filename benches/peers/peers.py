"""Stages of Pilotis beside what the field runs, in one run, on one thread, on the same inputs.

Peers: numba and spconv voxelization, PyTorch encoder and scatter, PyTorch decoding, numba rotated
NMS. Whatever is not installed is skipped with its reason. Runs of Pilotis and of a peer alternate
in small blocks, so that other work on the machine falls on both. Results are compared first: what
gives another answer is not timed.

    python benches/peers/peers.py CLOUD.bin...      clouds of KITTI's layout
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import datetime
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# The full KITTI configuration, runtime/spec/tests/kitti_manifest.toml.
RANGE = np.array([0.0, -39.68, -3.0, 69.12, 39.68, 1.0], np.float32)
CELL = np.array([0.16, 0.16, 4.0], np.float32)
NX, NY = 432, 496
MAX_POINTS, MAX_PILLARS, N_CHANNELS = 32, 40000, 64
MAP_H, MAP_W, N_CLASSES = 248, 216, 3
SCORE, IOU, MAX_CANDIDATES = 0.1, 0.01, 4096
ANCHORS = [((3.9, 1.6, 1.56), -1.78), ((0.8, 0.6, 1.73), -0.6), ((1.76, 0.6, 1.73), -0.6)]
ROTATIONS = (0.0, 1.57)
DIRECTION_OFFSET = 0.78539

SKIPPED = []


def optional(name):
    """A module, or None with the reason noted."""
    try:
        return __import__(name, fromlist=["_"])
    except Exception as error:  # noqa: BLE001, a broken native library raises OSError and others
        SKIPPED.append(f"{name}: {type(error).__name__}: {error}")
        return None


numba = optional("numba")
torch = optional("torch")
spconv_utils = optional("spconv.utils")
tensorview = optional("cumm.tensorview") if spconv_utils else None


# ---- inputs, shared by both sides -----------------------------------------------------------

def inputs(folder):
    """Random weights and tensors as files for Pilotis and arrays for the peers."""
    rng = np.random.default_rng(1)
    f32 = np.float32
    encoder = {
        "weight": rng.normal(0, 0.1, (N_CHANNELS, 10)).astype(f32),
        "gamma": rng.uniform(0.5, 1.5, N_CHANNELS).astype(f32),
        "beta": rng.normal(0, 0.1, N_CHANNELS).astype(f32),
        "mean": rng.normal(0, 0.1, N_CHANNELS).astype(f32),
        "var": rng.uniform(0.5, 1.5, N_CHANNELS).astype(f32),
    }
    scale = encoder["gamma"] / np.sqrt(encoder["var"] + f32(1e-3))
    (encoder["weight"] * scale[:, None]).T.astype("<f4").tofile(folder / "weights")
    (encoder["beta"] - encoder["mean"] * scale).astype("<f4").tofile(folder / "bias")

    n_anchors = 2 * N_CLASSES
    scores = rng.uniform(-8, -5, (n_anchors * N_CLASSES, MAP_H, MAP_W)).astype(f32)
    # About 300 candidates, as a real frame has.
    passing = rng.random(scores.shape) < 1 / 3200
    scores[passing] = rng.uniform(-2, 1, passing.sum()).astype(f32)
    residuals = rng.normal(0, 0.1, (n_anchors * 7, MAP_H, MAP_W)).astype(f32)
    directions = rng.normal(0, 1, (n_anchors * 2, MAP_H, MAP_W)).astype(f32)
    tensors = [scores, residuals, directions]
    for i, tensor in enumerate(tensors):
        tensor.astype("<f4").tofile(folder / f"tensor_{i}")

    # 4,096 boxes that do not touch: nothing is suppressed, every pair is looked at.
    at = np.arange(4096)
    boxes = np.zeros((4096, 7), f32)
    boxes[:, 0], boxes[:, 1] = at % 64 * 1.07 + 0.5, at // 64 * 1.2 - 39.0
    boxes[:, 3:6], boxes[:, 6] = (0.8, 0.6, 1.7), rng.random(4096)
    boxes.astype("<f4").tofile(folder / "nms")
    return encoder, tensors, boxes


# ---- voxelization ---------------------------------------------------------------------------

def jit(f):
    return numba.njit(cache=False)(f) if numba else f


@jit
def voxelize_into(points, low, cell, voxels, coords, counts, pillar_at):
    """Hard voxelization as SECOND published it: the first points of a pillar in input order."""
    n_pillars = 0
    for i in range(points.shape[0]):
        x = math.floor((points[i, 0] - low[0]) / cell[0])
        y = math.floor((points[i, 1] - low[1]) / cell[1])
        z = math.floor((points[i, 2] - low[2]) / cell[2])
        if x < 0 or x >= NX or y < 0 or y >= NY or z != 0:
            continue
        pillar = pillar_at[y, x]
        if pillar == -1:
            if n_pillars >= MAX_PILLARS:
                continue
            pillar = n_pillars
            n_pillars += 1
            pillar_at[y, x] = pillar
            coords[pillar, 0] = 0
            coords[pillar, 1] = y
            coords[pillar, 2] = x
        n = counts[pillar]
        if n < MAX_POINTS:
            for k in range(4):
                voxels[pillar, n, k] = points[i, k]
            counts[pillar] = n + 1
    return n_pillars


class NumbaVoxels:
    """Buffers are reused and only what the last frame touched is cleared, as spconv does."""

    def __init__(self):
        self.voxels = np.zeros((MAX_PILLARS, MAX_POINTS, 4), np.float32)
        self.coords = np.zeros((MAX_PILLARS, 3), np.int32)
        self.counts = np.zeros(MAX_PILLARS, np.int32)
        self.pillar_at = np.full((NY, NX), -1, np.int32)
        self.n_pillars = 0

    def __call__(self, points):
        n = self.n_pillars
        self.voxels[:n] = 0
        self.counts[:n] = 0
        self.pillar_at[self.coords[:n, 1], self.coords[:n, 2]] = -1
        n = voxelize_into(points, RANGE[:3], CELL, self.voxels, self.coords, self.counts, self.pillar_at)
        self.n_pillars = n
        return self.voxels[:n], self.coords[:n], self.counts[:n]


class SpconvVoxels:
    def __init__(self):
        self.generator = spconv_utils.Point2VoxelCPU3d(
            CELL.tolist(), RANGE.tolist(), 4, MAX_PILLARS, MAX_POINTS)

    def __call__(self, points):
        out = self.generator.point_to_voxel(tensorview.from_numpy(points))
        return [t.numpy() for t in out]


# ---- encoder, scatter -----------------------------------------------------------------------

class TorchEncoder:
    """Padded [P, 32, 10] features, Linear, BatchNorm, ReLU, max, scatter: as PointPillars has it."""

    def __init__(self, encoder):
        t = torch.from_numpy
        self.linear = torch.nn.Linear(10, N_CHANNELS, bias=False)
        self.norm = torch.nn.BatchNorm1d(N_CHANNELS, eps=1e-3)
        with torch.no_grad():
            self.linear.weight.copy_(t(encoder["weight"]))
            self.norm.weight.copy_(t(encoder["gamma"]))
            self.norm.bias.copy_(t(encoder["beta"]))
            self.norm.running_mean.copy_(t(encoder["mean"]))
            self.norm.running_var.copy_(t(encoder["var"]))
        self.norm.eval()
        self.centre = t(RANGE[:2] + CELL[:2] / 2)
        self.centre_z = float(RANGE[2] + CELL[2] / 2)
        self.cell = t(CELL[:2])

    def __call__(self, voxels, coords, counts):
        with torch.inference_mode():
            n = counts.to(torch.float32).view(-1, 1, 1)
            xyz = voxels[:, :, :3]
            from_mean = xyz - xyz.sum(1, keepdim=True) / n
            centre_xy = coords[:, [2, 1]].to(torch.float32) * self.cell + self.centre
            from_centre = torch.empty_like(from_mean)
            from_centre[:, :, :2] = xyz[:, :, :2] - centre_xy[:, None]
            from_centre[:, :, 2] = xyz[:, :, 2] - self.centre_z
            features = torch.cat([voxels, from_mean, from_centre], dim=-1)
            features *= (torch.arange(MAX_POINTS) < counts[:, None])[:, :, None]
            x = self.linear(features)
            x = self.norm(x.permute(0, 2, 1)).permute(0, 2, 1)
            x = torch.relu(x).max(dim=1).values
            canvas = torch.zeros(N_CHANNELS, NY * NX)
            canvas[:, coords[:, 1].long() * NX + coords[:, 2].long()] = x.t()
            return canvas


# ---- decoding -------------------------------------------------------------------------------

class TorchDecoder:
    """All 321,408 anchors decoded, then score filter and the best 4,096, as OpenPCDet does."""

    def __init__(self):
        xs = torch.linspace(float(RANGE[0]), float(RANGE[3]), MAP_W)
        ys = torch.linspace(float(RANGE[1]), float(RANGE[4]), MAP_H)
        anchors = torch.zeros(MAP_H, MAP_W, N_CLASSES, 2, 7)
        anchors[..., 0] = xs[None, :, None, None]
        anchors[..., 1] = ys[:, None, None, None]
        for c, (size, bottom) in enumerate(ANCHORS):
            anchors[:, :, c, :, 2] = bottom + size[2] / 2
            anchors[:, :, c, :, 3:6] = torch.tensor(size)
            for r, rotation in enumerate(ROTATIONS):
                anchors[:, :, c, r, 6] = rotation
        self.anchors = anchors.view(-1, 7)

    def __call__(self, tensors):
        with torch.inference_mode():
            scores, residuals, directions = (t.permute(1, 2, 0).contiguous() for t in tensors)
            scores = scores.view(-1, N_CLASSES)
            xt, yt, zt, lt, wt, ht, rt = residuals.view(-1, 7).split(1, dim=-1)
            xa, ya, za, la, wa, ha, ra = self.anchors.split(1, dim=-1)
            diagonal = torch.sqrt(la**2 + wa**2)
            boxes = torch.cat([
                xt * diagonal + xa, yt * diagonal + ya, zt * ha + za,
                torch.exp(lt) * la, torch.exp(wt) * wa, torch.exp(ht) * ha, rt + ra,
            ], dim=-1)
            bins = directions.view(-1, 2).argmax(-1)
            yaw = boxes[:, 6] - DIRECTION_OFFSET
            yaw = yaw - torch.floor(yaw / math.pi) * math.pi
            boxes[:, 6] = yaw + DIRECTION_OFFSET + math.pi * bins
            best = torch.sigmoid(scores).max(dim=-1).values
            passing = best >= SCORE
            best, boxes = best[passing], boxes[passing]
            best, order = best.topk(min(MAX_CANDIDATES, len(best)))
            return boxes[order], best


# ---- rotated NMS ----------------------------------------------------------------------------

@jit
def corners_of(box, out):
    c, s = math.cos(box[6]), math.sin(box[6])
    for k in range(4):
        dx = box[3] / 2 if k == 0 or k == 3 else -box[3] / 2
        dy = box[4] / 2 if k < 2 else -box[4] / 2
        out[k, 0] = box[0] + dx * c - dy * s
        out[k, 1] = box[1] + dx * s + dy * c


@jit
def overlap(p, q, a, b):
    """Area common to two convex polygons: `p` clipped by each edge of `q`; `a`, `b` are scratch."""
    n = 4
    a[:4] = p
    for k in range(4):
        x0, y0 = q[k]
        x1, y1 = q[(k + 1) % 4]
        m = 0
        for i in range(n):
            j = (i + 1) % n
            di = (x1 - x0) * (a[i, 1] - y0) - (y1 - y0) * (a[i, 0] - x0)
            dj = (x1 - x0) * (a[j, 1] - y0) - (y1 - y0) * (a[j, 0] - x0)
            if di >= 0:
                b[m] = a[i]
                m += 1
            if (di >= 0) != (dj >= 0):
                t = di / (di - dj)
                b[m, 0] = a[i, 0] + t * (a[j, 0] - a[i, 0])
                b[m, 1] = a[i, 1] + t * (a[j, 1] - a[i, 1])
                m += 1
        n = m
        if n == 0:
            return 0.0
        a[:n] = b[:n]
    area = 0.0
    for i in range(n):
        j = (i + 1) % n
        area += a[i, 0] * a[j, 1] - a[j, 0] * a[i, 1]
    return area / 2


@jit
def may_touch(p, q):
    """Whether edges' rectangles meet or one holds a corner of the other, as OpenPCDet looks first."""
    for i in range(4):
        ax0, ay0 = p[i]
        ax1, ay1 = p[(i + 1) % 4]
        for k in range(4):
            bx0, by0 = q[k]
            bx1, by1 = q[(k + 1) % 4]
            if (min(ax0, ax1) <= max(bx0, bx1) and min(bx0, bx1) <= max(ax0, ax1)
                    and min(ay0, ay1) <= max(by0, by1) and min(by0, by1) <= max(ay0, ay1)):
                return True
    return holds(p, q) or holds(q, p)


@jit
def holds(p, q):
    """Whether the rectangle `p` holds a corner of `q`."""
    for k in range(4):
        inside = True
        for i in range(4):
            x0, y0 = p[i]
            x1, y1 = p[(i + 1) % 4]
            inside = inside and (x1 - x0) * (q[k, 1] - y0) - (y1 - y0) * (q[k, 0] - x0) >= 0
        if inside:
            return True
    return False


@jit
def nms(boxes, threshold, by_circle):
    """Greedy: a box falls to any kept box before it. Every pair is compared, as published, or
    those only whose circumscribed circles meet."""
    n = len(boxes)
    corners = np.empty((n, 4, 2))
    radius = np.empty(n)
    for i in range(n):
        corners_of(boxes[i], corners[i])
        radius[i] = math.sqrt(boxes[i, 3] ** 2 + boxes[i, 4] ** 2) / 2
    a, b = np.empty((16, 2)), np.empty((16, 2))
    gone = np.zeros(n, np.bool_)
    kept = 0
    for i in range(n):
        if gone[i]:
            continue
        kept += 1
        for j in range(i + 1, n):
            if gone[j]:
                continue
            if by_circle:
                apart = (boxes[i, 0] - boxes[j, 0]) ** 2 + (boxes[i, 1] - boxes[j, 1]) ** 2
                if apart > (radius[i] + radius[j]) ** 2:
                    continue
            elif not may_touch(corners[i], corners[j]):
                continue
            common = overlap(corners[i], corners[j], a, b)
            union = boxes[i, 3] * boxes[i, 4] + boxes[j, 3] * boxes[j, 4] - common
            gone[j] = common > threshold * union
    return kept


# ---- measuring ------------------------------------------------------------------------------

class Pilotis:
    """The example `stages`, alive for the whole run and idle while a peer is timed."""

    def __init__(self, binary, cloud, folder):
        cargo = ["cargo", "run", "--release", "--quiet", "-p", "pilotis-benches", "--example", "stages", "--"]
        command = [str(binary.resolve())] if binary else cargo
        self.process = subprocess.Popen(
            command + [str(cloud), str(folder)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("the example `stages` ended; its message is above")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def times(f, n):
    out = []
    for _ in range(n):
        start = time.perf_counter_ns()
        f()
        out.append(time.perf_counter_ns() - start)
    return out


def versus(pilotis, command, peer, rounds, block):
    """Medians in ms of Pilotis and of a peer, in alternating blocks; the first is a warm-up."""
    ours, theirs = [], []
    for r in range(rounds + 1):
        a, b = pilotis.ask(f"{command} {block}"), times(peer, block)
        if r > 0:
            ours += a
            theirs += b
    return statistics.median(ours) / 1e6, statistics.median(theirs) / 1e6


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: the peer says {got}, Pilotis {want}: what differs is not compared in time")


def measure(binary, cloud, folder, shared, rounds, rows):
    encoder, tensors, nms_boxes = shared
    points = np.fromfile(cloud, "<f4").reshape(-1, 4)
    pilotis = Pilotis(binary, cloud.resolve(), folder)
    counts = pilotis.ask("counts")
    name = f"{cloud.parent.name}/{cloud.name}"
    print(f"{name}: {counts}", flush=True)

    def row(stage, peer, command, f, block=3):
        ours, theirs = versus(pilotis, command, f, rounds, block)
        rows.append((name, stage, ours, peer, theirs))
        print(f"  {stage}: {ours:.3f} ms, {peer} {theirs:.3f} ms, {theirs / ours:.1f} x", flush=True)

    out = None
    for peer, make in (("numba", numba and NumbaVoxels), ("spconv", tensorview and SpconvVoxels)):
        if make:
            voxelizer = make()
            out = voxelizer(points)
            check(f"{peer} pillars", len(out[2]), counts["pillars"])
            check(f"{peer} points", int(out[2].sum()), counts["kept"])
            row("points + pillars", peer, "pillars", lambda: voxelizer(points), 10)
    if torch and out:
        torch.set_num_threads(1)
        voxels, coords, n = (torch.from_numpy(np.array(a)) for a in out)
        encode = TorchEncoder(encoder)
        canvas = encode(voxels, coords, n).numpy()
        pilotis.ask(f"canvas {folder / 'canvas'}")
        ours = np.fromfile(folder / "canvas", "<f4").reshape(canvas.shape)
        error = float(np.abs(canvas - ours).max())
        # Ten products of order 10 each, in another order.
        check("canvas within 1e-3", error < 1e-3, True)
        print(f"  canvas: largest difference {error:.1e}", flush=True)
        row("bev", "PyTorch", "bev", lambda: encode(voxels, coords, n))
    if torch:
        decode = TorchDecoder()
        maps = [torch.from_numpy(t) for t in tensors]
        check("candidates", len(decode(maps)[0]), counts["candidates"])
        row("decode 321,408 anchors", "PyTorch", "decode", lambda: decode(maps))
    if torch and numba:
        after = lambda: nms(decode(maps)[0].numpy(), IOU, True)  # noqa: E731
        check("boxes", after(), counts["boxes"])
        row("boxes (decode + NMS)", "PyTorch + numba", "boxes", after)
    if numba:
        for peer, by_circle in (("numba, as published", False), ("numba, circles first", True)):
            check("kept by NMS", nms(nms_boxes, IOU, by_circle), counts["kept_in_nms"])
            row("NMS of 4,096 disjoint", peer, "nms", lambda: nms(nms_boxes, IOU, by_circle), 2)
    if torch and numba:
        fastest = SpconvVoxels() if tensorview else NumbaVoxels()

        def frame():
            voxels, coords, n = (torch.from_numpy(a) for a in fastest(points))
            encode(voxels, coords, n)
            nms(decode(maps)[0].numpy(), IOU, True)

        peer = ("spconv" if tensorview else "numba") + " + PyTorch + numba"
        row("frame without network", peer, "frame", frame)
    pilotis.close()


def cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clouds", nargs="+", type=Path, help="files of KITTI's layout")
    parser.add_argument("--rounds", type=int, default=7, help="alternations of a pair")
    parser.add_argument("--stages", type=Path, help="the example `stages`, if it is built already")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shared = inputs(folder)
        for cloud in args.clouds:
            measure(args.stages, cloud, folder, shared, args.rounds, rows)
    if not rows:
        sys.exit("no peer is installed, so nothing was compared")
    versions = [f"{m.__name__} {m.__version__}" for m in (np, numba, torch) if m]
    if tensorview:
        import spconv
        versions.append(f"spconv {spconv.__version__}")
    print(f"\n{datetime.date.today()}, {cpu_model()}, {os.cpu_count()} cores, load {load:.1f} at start; "
          f"1 thread; Python {platform.python_version()}, {', '.join(versions)}\n")
    print("| cloud | stage | Pilotis, ms | peer | its ms | ratio |\n|---|---|---:|---|---:|---:|")
    for name, stage, ours, peer, theirs in rows:
        print(f"| {name} | {stage} | {ours:.2f} | {peer} | {theirs:.2f} | {theirs / ours:.1f} |")
    for reason in SKIPPED:
        print(f"skipped: {reason}")


if __name__ == "__main__":
    main()
