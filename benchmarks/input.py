"""Images per second and core from JPEG files to padded images, beside Pillow, OpenCV.

Every row but those of the raw decoder ends with the image, in color, in the upper left
corner of an image of zeros. The raw decoder is libjpeg-turbo alone, through simplejpeg:
at full size, and at the eighths of it that ``decode`` chooses, with nothing after it.
The files are in memory; one thread.

    python -m benchmarks.input --folder ~/photos
"""

import argparse
import functools
import io
import os
import pathlib
import statistics
import time

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks import machine
from simclr_jax.data import decode

NUM_ROUNDS = 9
NAMES = {".jpg", ".jpeg"}


def on_canvas(pixels, *, canvas):
    """Puts an image into the corner of a new image of zeros."""
    out = np.zeros((canvas, canvas, 3), np.uint8)
    out[: pixels.shape[0], : pixels.shape[1]] = pixels
    return out


def fitted(height, width, *, canvas):
    """Returns (width, height) of the image once it fills the padded image."""
    scale = min(1.0, canvas / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def with_pillow(encoded, *, canvas):
    """Decodes at full size, then resizes: what a data loader usually does."""
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    size = fitted(image.height, image.width, canvas=canvas)
    image = image.resize(size, Image.Resampling.BILINEAR)
    return on_canvas(np.asarray(image), canvas=canvas)


def with_pillow_draft(encoded, *, canvas):
    """Lets libjpeg scale by a power of two before the resize."""
    image = Image.open(io.BytesIO(encoded))
    size = fitted(image.height, image.width, canvas=canvas)
    image.draft("RGB", size)
    image = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    return on_canvas(np.asarray(image), canvas=canvas)


def with_opencv(encoded, *, canvas, cv2):
    """Decodes at full size, then resizes by area means."""
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    size = fitted(*pixels.shape[:2], canvas=canvas)
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return on_canvas(pixels, canvas=canvas)


def raw_scaled(encoded, *, canvas):
    """The decoder alone at our scale; the header is read to know it."""
    height, width, _, _ = simplejpeg.decode_jpeg_header(encoded)
    eighths = decode._eighths(max(height, width), canvas)
    return simplejpeg.decode_jpeg(
        encoded,
        min_height=-(-height * eighths // 8),
        min_width=-(-width * eighths // 8),
    )


def ours(encoded, *, canvas):
    """Decodes as the library does, the orientation included."""
    return on_canvas(decode.decode(encoded, max_side=canvas), canvas=canvas)


def rows(canvas):
    """Returns {name of the row: function of the bytes}."""
    at = functools.partial
    functions = {
        "Pillow, decode and resize": at(with_pillow, canvas=canvas),
        "Pillow, draft and resize": at(with_pillow_draft, canvas=canvas),
        "raw decoder, full size": simplejpeg.decode_jpeg,
        "raw decoder, our scale": at(raw_scaled, canvas=canvas),
        "ours": at(ours, canvas=canvas),
    }
    try:
        import cv2
    except ImportError:
        return functions
    cv2.setNumThreads(1)
    return {
        **functions,
        "OpenCV, decode and resize": at(with_opencv, canvas=canvas, cv2=cv2),
    }


def seconds_per_image(functions, files, num_rounds):
    """Times the functions in turn, and which is first changes from round to round."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function(files[0])
    names = list(functions)
    for round_ in range(num_rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            function, start = functions[name], time.perf_counter()
            for encoded in files:
                function(encoded)
            times[name].append((time.perf_counter() - start) / len(files))
    return {name: statistics.median(values) for name, values in times.items()}


def read_folder():
    """Returns (the bytes of every JPEG in the folder, side of the padded images)."""
    root = os.environ.get("SIMCLR_DATA_DIR")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder",
        type=pathlib.Path,
        default=pathlib.Path(root, "photos") if root else None,
        required=not root,
        help="JPEG files; by default photos/ in $SIMCLR_DATA_DIR",
    )
    parser.add_argument("--canvas", type=int, default=288, help="side in pixels")
    options = parser.parse_args()
    paths = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in NAMES)
    if not paths:
        parser.error(f"there is no JPEG file in {options.folder}")
    return [path.read_bytes() for path in paths], options.canvas


def main():
    """Prints the table."""
    files, canvas = read_folder()
    functions = rows(canvas)
    times = seconds_per_image(functions, files, NUM_ROUNDS)
    sides = [max(simplejpeg.decode_jpeg_header(encoded)[:2]) for encoded in files]
    print(f"{machine.header('pillow', 'simplejpeg')}; one thread,")
    print(f"{len(files)} files of {sum(map(len, files)) / len(files) / 1000:.0f} kB,")
    print(f"median of their longer sides {statistics.median(sides):.0f} pixels,")
    print(f"padded to {canvas}; medians of {NUM_ROUNDS} interleaved rounds\n")
    print("| from file to padded image | ms | images/s | x Pillow | x raw, our scale |")
    print("|---|---|---|---|---|")
    pillow, raw = times["Pillow, decode and resize"], times["raw decoder, our scale"]
    for name, seconds in times.items():
        print(
            f"| {name} | {1e3 * seconds:.2f} | {1 / seconds:,.0f} "
            f"| {pillow / seconds:.2f} | {raw / seconds:.2f} |"
        )


if __name__ == "__main__":
    main()
