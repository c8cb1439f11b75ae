"""Images per second of two views, against the obvious way to write them.

The obvious way: ``jax.image.scale_and_translate`` for the crop, a depthwise convolution
for the blur, and ``jax.lax.switch`` at each of four positions for the random order of
the jitter (under ``vmap`` every branch runs for every image). Both make the same kind
of views from the same draws of the box.

    python -m benchmarks.augment
"""

import datetime
import functools
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np

from simclr_jax import augment

CASES = (
    # name of the recipe, side of the view, side of the canvas, channels, batch size
    ("mnist", 24, 28, 1, 256),
    ("simclr_cifar", 32, 32, 3, 256),
    ("simclr", 224, 256, 3, 16),
)
STRENGTHS = {"mnist": (0.4, 0.4, 0.0, 0.0), "simclr_cifar": (0.4, 0.4, 0.4, 0.1)}
NUM_ROUNDS = 20


def naive_crop(key, image, *, size, area, method):
    """The same box, resampled by ``jax.image``."""
    height, width, channels = image.shape
    box = augment.draw_crop_box(
        key, height=float(height), width=float(width), area=area
    )
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
        lambda x: augment.adjust_brightness(x, amount=1.0 + brightness * draws[0]),
        lambda x: augment.adjust_contrast(x, factor=1.0 + contrast * draws[1]),
        lambda x: augment.adjust_saturation(x, factor=1.0 + saturation * draws[2]),
        lambda x: augment.adjust_hue(x, delta=hue * draws[3]),
    ]
    if image.shape[-1] == 1:
        branches = branches[:2]
    order = jax.random.permutation(order_key, len(branches))
    for position in range(len(branches)):
        image = jax.lax.switch(order[position], branches, image)
    return image


def naive_blur(key, image, *, probability):
    """A depthwise convolution with zero padding for each axis."""
    radius = augment.default_kernel_size(image.shape[0]) // 2
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
    brightness, contrast, saturation, hue = STRENGTHS.get(name, (0.8, 0.8, 0.8, 0.2))
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
        stages[1] = augment.with_probability(stages[1], 0.8)
        stages.insert(1, augment.random_horizontal_flip)
        stages.append(augment.random_grayscale)
    if name != "simclr_cifar":
        probability = 1.0 if is_mnist else 0.5
        stages.append(functools.partial(naive_blur, probability=probability))
    return augment.chain(*stages)


def shortest_times(functions, num_rounds):
    """Times the functions in turn; the minimum is what a shared machine can tell."""
    for function in functions.values():
        jax.block_until_ready(function())
    shortest = dict.fromkeys(functions, float("inf"))
    for _ in range(num_rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            shortest[name] = min(shortest[name], time.perf_counter() - start)
    return shortest


def measure(name, size, canvas, channels, batch_size):
    """Returns the shortest time of two views in seconds: (ours, the obvious way)."""
    rng = np.random.default_rng(0)
    shape = (batch_size, canvas, canvas, channels)
    images = jnp.asarray(rng.integers(0, 256, shape, dtype=np.uint8))
    key = jax.random.key(0)
    views = jax.jit(augment.two_views, static_argnums=2)
    ours, naive = augment.build(name, size=size), naive_recipe(name, size)
    times = shortest_times(
        {
            "ours": lambda: views(key, images, ours),
            "naive": lambda: views(key, images, naive),
        },
        NUM_ROUNDS if size < 100 else NUM_ROUNDS // 4,
    )
    return times["ours"], times["naive"]


def processor():
    """Returns the name of the CPU and the number of cores JAX may use."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line for line in file if line.startswith("model name")]
        return f"{names[0].split(':')[1].strip()}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def main():
    """Prints the table."""
    device = jax.devices()[0]
    print(f"date {datetime.date.today()}, python {platform.python_version()},")
    print(f"jax {jax.__version__}, {device.platform}: {device.device_kind},")
    print(f"processor {processor()}; the shortest of interleaved runs\n")
    print(
        "| recipe | canvas | view | batch | ms | images/s | obvious way, ms | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, size, canvas, channels, batch_size in CASES:
        ours, naive = measure(name, size, canvas, channels, batch_size)
        print(
            f"| {name} | {canvas} | {size} | {batch_size} | {1e3 * ours:.2f} "
            f"| {batch_size / ours:,.0f} | {1e3 * naive:.1f} | {naive / ours:.1f} |"
        )


if __name__ == "__main__":
    main()
