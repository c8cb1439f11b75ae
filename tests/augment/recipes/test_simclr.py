"""SimCLR's recipes: the stages and the numbers of the paper and of the code."""

from simclr_jax import augment

CROP = (
    "random_resized_crop(antialias=False, area=(0.08, 1.0), dtype='float32', "
    "flip_probability=0.5, method='bicubic', sampler='tf_distorted_box', size={size})"
)
JITTER = (
    "color_jitter(brightness={strong}, contrast={strong}, family='{family}', "
    "hue={weak}, order='random', saturation={strong}) with p = 0.8"
)
GRAY = "random_grayscale(probability=0.2)"
BLUR = "gaussian_blur(parity=False, probability=0.5)"


def stages_of(recipe):
    return repr(recipe).split(" > ")


def test_imagenet_stages_are_those_of_the_paper_and_of_the_code():
    for family, recipe in (("v1", augment.simclr_v1()), ("v2", augment.simclr_v2())):
        assert stages_of(recipe) == [
            CROP.format(size=224),
            JITTER.format(family=family, strong=0.8, weak=0.2),
            GRAY,
            BLUR,
        ]


def test_cifar_has_half_the_strength_and_no_blur():
    assert stages_of(augment.simclr_cifar()) == [
        CROP.format(size=32),
        JITTER.format(family="v2", strong=0.4, weak=0.1),
        GRAY,
    ]
    assert "family='v1'" in repr(augment.simclr_cifar(family="v1"))


def test_options_reach_their_stages():
    recipe = augment.simclr_v2(
        size=96,
        strength=0.5,
        area=(0.2, 1.0),
        sampler="uniform_area",
        order="fixed",
        grayscale_probability=0.1,
        blur_probability=0.3,
        parity=True,
        dtype="bfloat16",
    )
    crop, jitter, gray, blur = stages_of(recipe)
    for part in ("(0.2, 1.0)", "'bfloat16'", "'uniform_area'", "size=96"):
        assert part in crop
    assert "brightness=0.4" in jitter
    assert "'fixed'" in jitter
    assert gray == "random_grayscale(probability=0.1)"
    assert blur == "gaussian_blur(parity=True, probability=0.3)"
    assert len(augment.simclr_v1(blur_probability=0.0).stages) == 3
