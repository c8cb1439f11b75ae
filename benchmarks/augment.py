"""Time of two random views of every image of a batch, against other ways to make them.

- ours: ``augment.two_views``, jitted.
- the obvious JAX way: ``jax.image.scale_and_translate`` for the crop, a depthwise
  convolution for the blur, and ``jax.lax.switch`` at each of four positions for the
  random order of the jitter (under ``vmap`` every branch runs for every image).
- dm_pix: its color operations and its blur, jitted and vmapped. It has no resampled
  crop, which is ``jax.image.scale_and_translate`` here too, and no random order.
- albumentations and Pillow: uint8 in, uint8 out, one worker for each core, as threads
  and as processes that write to shared memory. The conversion to float32 that a model
  needs is not counted. Pillow's functions are those that torchvision's transforms call.

A package that is not installed is left out.

    python -m benchmarks.augment
"""

import concurrent.futures
import functools
import importlib.util
import itertools
import math
import multiprocessing
import os
import random
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import machine
from simclr_jax import augment
from simclr_jax.augment import ops
from simclr_jax.core import types

CASES = (
    # recipe, side of the view, side when padded, size of the images, channels, batch
    ("mnist", 24, 28, (28, 28), 1, 256),
    ("simclr_cifar", 32, 32, (32, 32), 3, 256),
    ("simclr_v2", 224, 288, (216, 288), 3, 32),
)
STRENGTHS = {
    # brightness, contrast, saturation, hue
    "mnist": (0.4, 0.4, 0.0, 0.0),
    "simclr_cifar": (0.4, 0.4, 0.4, 0.1),
    "simclr_v2": (0.8, 0.8, 0.8, 0.2),
}
PACKAGES = {"dm_pix": "dm-pix", "albumentations": "albumentations", "PIL": "pillow"}
NUM_CORES = len(os.sched_getaffinity(0))
SECONDS_PER_CASE = 30


def naive_crop(key, image, *, size, area, method):
    """The same box, resampled by ``jax.image``."""
    height, width, channels = image.shape
    box = ops.sample_crop_box(key, height=float(height), width=float(width), area=area)
    scale = jnp.stack([size / box.height, size / box.width])
    shift = -jnp.stack([box.top, box.left]) * scale
    out = jax.image.scale_and_translate(
        image, (size, size, channels), (0, 1), scale, shift, method, antialias=False
    )
    return jnp.clip(out, 0.0, 1.0)


def naive_jitter(key, image, *, brightness, contrast, saturation, hue):
    """Four positions, each a switch over the four operations."""
    order_key, amount_key = jax.random.split(key)
    draws = jax.random.uniform(amount_key, (4,), minval=-1.0)
    branches = [
        lambda x: ops.adjust_brightness(x, amount=1.0 + brightness * draws[0]),
        lambda x: ops.adjust_contrast(x, factor=1.0 + contrast * draws[1]),
        lambda x: ops.adjust_saturation(x, factor=1.0 + saturation * draws[2]),
        lambda x: ops.adjust_hue(x, delta=hue * draws[3]),
    ]
    if image.shape[-1] == 1:
        branches = branches[:2]
    order = jax.random.permutation(order_key, len(branches))
    for position in range(len(branches)):
        image = jax.lax.switch(order[position], branches, image)
    return image


def naive_blur(key, image, *, probability):
    """A depthwise convolution with zero padding for each axis."""
    radius = ops.default_kernel_size(image.shape[0]) // 2
    choice_key, sigma_key = jax.random.split(key)
    sigma = jax.random.uniform(sigma_key, (), minval=0.1, maxval=2.0)
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    taps = jnp.exp(-0.5 * jnp.square(offsets / sigma))
    taps = taps / jnp.sum(taps)
    planes = jnp.moveaxis(image, 2, 0)[:, None]
    for kernel in (taps[None, None, :, None], taps[None, None, None, :]):
        planes = jax.lax.conv_general_dilated(planes, kernel, (1, 1), "SAME")
    blurred = jnp.moveaxis(planes[:, 0], 0, 2)
    return jnp.where(jax.random.bernoulli(choice_key, probability), blurred, image)


def naive_recipe(name, size):
    """Returns the recipe of this name, written the obvious way."""
    is_mnist = name == "mnist"
    brightness, contrast, saturation, hue = STRENGTHS[name]
    stages = [
        functools.partial(
            naive_crop,
            size=size,
            area=(0.3, 1.0) if is_mnist else (0.08, 1.0),
            method="bilinear" if is_mnist else "bicubic",
        ),
        functools.partial(
            naive_jitter,
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=hue,
        ),
    ]
    if not is_mnist:
        stages[1] = augment.RandomApply(stages[1], 0.8)
        stages.insert(1, augment.RandomHorizontalFlip())
        stages.append(augment.RandomGrayscale())
    if name != "simclr_cifar":
        probability = 1.0 if is_mnist else 0.5
        stages.append(functools.partial(naive_blur, probability=probability))
    return augment.Chain(tuple(stages))


def pix_jitter(key, image, *, strengths):
    """The four operations of dm_pix in a fixed order."""
    import dm_pix as pix

    brightness, contrast, saturation, hue = strengths
    keys = jax.random.split(key, 4)
    image = pix.random_brightness(keys[0], image, brightness)
    image = pix.random_contrast(keys[1], image, 1.0 - contrast, 1.0 + contrast)
    image = pix.random_saturation(keys[2], image, 1.0 - saturation, 1.0 + saturation)
    return jnp.clip(pix.random_hue(keys[3], image, hue), 0.0, 1.0)


def pix_finish(key, image, *, has_blur):
    """Grayscale and blur by dm_pix."""
    import dm_pix as pix

    gray_key, blur_key, sigma_key = jax.random.split(key, 3)
    gray = pix.rgb_to_grayscale(image, keep_dims=True)
    image = jnp.where(jax.random.bernoulli(gray_key, 0.2), gray, image)
    if not has_blur:
        return image
    sigma = jax.random.uniform(sigma_key, (), minval=0.1, maxval=2.0)
    blurred = pix.gaussian_blur(image, sigma, 23)
    return jnp.where(jax.random.bernoulli(blur_key, 0.5), blurred, image)


def pix_recipe(name, size):
    """Returns the recipe of this name, written with dm_pix."""
    import dm_pix as pix

    jitter = functools.partial(pix_jitter, strengths=STRENGTHS[name])
    stages = (
        functools.partial(naive_crop, size=size, area=(0.08, 1.0), method="bicubic"),
        pix.random_flip_left_right,
        augment.RandomApply(jitter, 0.8),
        functools.partial(pix_finish, has_blur=name == "simclr_v2"),
    )
    return augment.Chain(stages)


def albumentations_view(name, size):
    """Returns the recipe of this name, written with albumentations."""
    import albumentations as A
    import cv2

    cv2.setNumThreads(1)  # The workers take the cores.
    stages = [
        A.RandomResizedCrop(
            (size, size), scale=(0.08, 1.0), interpolation=cv2.INTER_CUBIC
        ),
        A.HorizontalFlip(),
        A.ColorJitter(*STRENGTHS[name], p=0.8),
        A.ToGray(p=0.2),
    ]
    if name == "simclr_v2":
        stages.append(A.GaussianBlur(blur_limit=(23, 23), sigma_limit=(0.1, 2.0)))
    transform = A.Compose(stages)
    return lambda image: transform(image=image)["image"]


def pillow_view(name, size):
    """Returns the recipe of this name, written with Pillow as torchvision does."""
    from PIL import Image, ImageFilter, ImageOps

    def view(pixels):
        image = Image.fromarray(pixels)
        image = image.crop(pillow_box(*image.size)).resize((size, size), Image.BICUBIC)
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        if random.random() < 0.8:
            image = pillow_jitter(image, *STRENGTHS[name])
        if random.random() < 0.2:
            image = Image.merge("RGB", [image.convert("L")] * 3)
        if name == "simclr_v2" and random.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
        return np.asarray(image)

    return view


def pillow_box(width, height):
    """Draws a box as torchvision's ``RandomResizedCrop`` does."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def pillow_jitter(image, brightness, contrast, saturation, hue):
    """The four operations in random order, as torchvision's ``ColorJitter``."""
    from PIL import Image, ImageEnhance

    def turn(image):
        h, s, v = image.convert("HSV").split()
        shift = np.int16(255 * random.uniform(-hue, hue))
        h = Image.fromarray((np.asarray(h) + shift).astype(np.uint8))
        return Image.merge("HSV", (h, s, v)).convert("RGB")

    def enhance(kind, amount):
        return lambda image: kind(image).enhance(
            random.uniform(1.0 - amount, 1.0 + amount)
        )

    operations = [
        enhance(ImageEnhance.Brightness, brightness),
        enhance(ImageEnhance.Contrast, contrast),
        enhance(ImageEnhance.Color, saturation),
        turn,
    ]
    random.shuffle(operations)
    for operation in operations:
        image = operation(image)
    return image


class Workers:
    """A thread or a process for each core; each makes the views of a share."""

    state = threading.local()

    def __init__(self, make_view, name, size, images, *, use_processes):
        context = multiprocessing.get_context("spawn")
        shape = (2, len(images), size, size, images.shape[-1])
        buffer = context.RawArray("B", math.prod(shape))
        if use_processes:
            pool = functools.partial(
                concurrent.futures.ProcessPoolExecutor, mp_context=context
            )
        else:
            pool = concurrent.futures.ThreadPoolExecutor
        self.pool = pool(
            NUM_CORES,
            initializer=Workers.start,
            initargs=(make_view, name, size, images, buffer, shape),
        )
        self.shares = [range(i, len(images), NUM_CORES) for i in range(NUM_CORES)]

    @staticmethod
    def start(make_view, name, size, images, buffer, shape):
        """Runs once in each worker."""
        Workers.state.view = make_view(name, size)
        Workers.state.images = images
        Workers.state.out = np.frombuffer(buffer, np.uint8).reshape(shape)

    @staticmethod
    def work(share):
        """Makes two views of every image of the share."""
        state = Workers.state
        for view, index in itertools.product(range(2), share):
            state.out[view, index] = state.view(state.images[index])

    def __call__(self):
        """Makes all views and waits for them."""
        list(self.pool.map(Workers.work, self.shares))


def smooth_images(batch_size, size, channels):
    """Returns uint8 images that, like photographs, are smooth but for some noise."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0.0, 255.0, (batch_size, 6, 6, channels))
    shape = (batch_size, *size, channels)
    images = np.array(jax.image.resize(coarse, shape, "bicubic"))
    images += rng.normal(0.0, 4.0, shape)
    return np.clip(images, 0.0, 255.0).astype(np.uint8)


def padded(stored, side):
    """Returns the images, padded to a square unless they fill it."""
    height, width = stored.shape[1:3]
    if height == width == side:
        return jnp.asarray(stored)
    rest = ((0, 0), (0, side - height), (0, side - width), (0, 0))
    sizes = np.full((len(stored), 2), (height, width), np.int32)
    return types.PaddedImages(jnp.asarray(np.pad(stored, rest)), jnp.asarray(sizes))


def programs(name, size, side, image_size, channels, batch_size):
    """Returns the programs of a case: a function without arguments for each name."""
    stored = smooth_images(batch_size, image_size, channels)
    images, key = jnp.asarray(stored), jax.random.key(0)
    views = jax.jit(augment.two_views, static_argnums=2)
    options = {} if name == "mnist" else {"sampler": "uniform_area"}
    ours = augment.build(name, size=size, **options)
    recipes = {"obvious JAX": naive_recipe(name, size)}
    if importlib.util.find_spec("dm_pix") and channels == 3:
        recipes["dm_pix"] = pix_recipe(name, size)
    found = {"ours": functools.partial(views, key, padded(stored, side), ours)}
    for label, recipe in recipes.items():
        found[label] = functools.partial(views, key, images, recipe)
    makers = {"albumentations": albumentations_view, "PIL": pillow_view}
    for package, make_view in makers.items():
        if channels != 3 or not importlib.util.find_spec(package):
            continue
        for kind in ("threads", "processes"):
            found[f"{package}, {NUM_CORES} {kind}"] = Workers(
                make_view, name, size, stored, use_processes=kind == "processes"
            )
    return found


def median_times(functions):
    """Times the functions in turn, so that a busy machine slows them alike."""
    for function in functions.values():
        jax.block_until_ready(function())
    times = {name: [] for name in functions}
    end = time.monotonic() + SECONDS_PER_CASE
    while time.monotonic() < end:
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - start)
    return {name: (float(np.median(t)), min(t)) for name, t in times.items()}


def main():
    """Prints the table."""
    device = jax.devices()[0]
    print(machine.header("simclr_jax", *PACKAGES.values()))
    print(f"{device.platform}: {device.device_kind}; interleaved runs\n")
    print("| recipe | program | median, ms | shortest, ms | views/s | times ours |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        name, size, _, (height, width), _, batch_size = case
        label = f"{name}, {height}x{width} to {size}, batch {batch_size}"
        functions = programs(*case)
        times = median_times(functions)
        for program, (median, shortest) in times.items():
            print(
                f"| {label} | {program} | {1e3 * median:.1f} | {1e3 * shortest:.1f} "
                f"| {2 * batch_size / median:,.0f} | {median / times['ours'][0]:.2f} |"
            )
        for function in functions.values():
            if isinstance(function, Workers):
                function.pool.shutdown()


if __name__ == "__main__":
    main()
