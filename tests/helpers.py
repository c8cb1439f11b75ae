"""Tolerances, in one place and never relaxed to make a test pass."""

TOLERANCE = {
    "loss_value": {"rtol": 1e-6, "atol": 0.0},
    "loss_gradient": {"rtol": 1e-5, "atol": 1e-7},
    "image": {"rtol": 0.0, "atol": 1e-5},
    # Pillow rounds its weights and, after each axis, the pixels to 8 bits.
    "pillow_8bit": {"rtol": 0.0, "atol": 1.6 / 255},
    # Half a dozen roundings of 2^-9, spread by up to 1.8 x 1.8 in the color jitter.
    "bfloat16_view": {"rtol": 0.0, "atol": 2.0**-5},
    "convolution": {"rtol": 1e-4, "atol": 1e-5},
    "optimizer": {"rtol": 1e-5, "atol": 1e-7},
    "devices": {"rtol": 1e-4, "atol": 0.0},
    "parameters": {"rtol": 1e-4, "atol": 1e-5},
}
