"""Memory of the host during a long pass over a folder of images.

Makes a folder of small JPEG files of many sizes, reads batch after batch of it as
training does (decoding, padding, read-ahead, the move to the device), and prints the
memory of this process and of its workers as it goes. It should stay flat.

    python -m benchmarks.input_memory --num_images=50000 --num_steps=10000
"""

import argparse
import io
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

from benchmarks import machine
from simclr_jax import data, training


def make_folder(folder, num_images):
    """Writes JPEG files of 40 to 100 pixels a side, a thousand in each subfolder."""
    from PIL import Image

    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(200):
        height, width = rng.integers(40, 100, 2)
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(
            file, "JPEG", quality=90
        )
        encoded.append(file.getvalue())
    for number in range(num_images):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded[number % len(encoded)])


def resident_megabytes():
    """Returns the memory of this process and its children, shared pages once each."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    total = 0
    for pid in [os.getpid(), *map(int, listed.stdout.split())]:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # `ps` itself
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_images", type=int, default=50_000)
    parser.add_argument("--num_steps", type=int, default=10_000)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--canvas", type=int, default=64)
    parser.add_argument("--num_workers", type=int, default=0)
    args = parser.parse_args()
    print(machine.header("pillow", "simplejpeg", "grain"))
    print(f"{args}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_folder(folder, args.num_images)
        source = data.open_source(f"folder:{folder}")
        images = data.open_images(source, canvas=args.canvas)
        order = data.BatchOrder(len(images), args.batch_size, args.num_steps, 0)
        batches = data.Batches(
            images,
            order,
            training.make_mesh(num_devices=1),
            resident_bytes=0,
            num_workers=args.num_workers,
        )
        print("| step | MB | images/s |\n|---|---|---|")
        start = time.perf_counter()
        for step, batch in enumerate(batches.start_at(0), 1):
            batch["image"].pixels.block_until_ready()
            if step % (args.num_steps // 10) == 0 or step == 100:
                rate = step * args.batch_size / (time.perf_counter() - start)
                print(f"| {step} | {resident_megabytes():.0f} | {rate:,.0f} |")


if __name__ == "__main__":
    main()
