"""The one pixel formula, and the three ways to bring a picture to size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.convert.pictures import check_preprocessing
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UsageError
from tests import stand_ins
from tests.stand_ins import picture, plain

finite = st.floats(-1e4, 1e4, allow_nan=False).map(lambda x: round(x, 4))
nonzero = st.one_of(st.floats(-300, -1e-3), st.floats(1e-3, 300)).map(lambda x: round(x, 4))


@st.composite
def preprocessings(draw: Any) -> Preprocessing:
    color = draw(st.sampled_from(["rgb", "bgr", "gray"]))
    channels = st.sampled_from([1, 1 if color == "gray" else 3])
    means, stds = draw(channels), draw(channels)
    return Preprocessing(
        color=color,
        resize=draw(st.sampled_from(["stretch", "crop", "letterbox"])),
        crop_fraction=draw(st.floats(0.05, 1.0)),
        scale=draw(nonzero),
        mean=tuple(draw(st.lists(finite, min_size=means, max_size=means))),
        std=tuple(draw(st.lists(nonzero, min_size=stds, max_size=stds))),
    )


@given(preprocessings())
def test_no_pixel_leaves_the_stated_range(how: Preprocessing) -> None:
    pixels = np.arange(256, dtype=np.uint8)[:, None].repeat(how.channels, axis=1)
    low, high = how.tensor_range
    rounding = 1e-5 * max(abs(low), abs(high), *map(abs, how.mean))
    tensor = how.tensor(pixels)
    assert tensor.dtype == np.float32
    assert low - rounding <= tensor.min()
    assert tensor.max() <= high + rounding
    # The range is no wider than it must be: both ends are reached.
    assert tensor.min() == pytest.approx(low, abs=rounding + 1e-6)
    assert tensor.max() == pytest.approx(high, abs=rounding + 1e-6)


@given(preprocessings())
def test_json_gives_back_the_same(how: Preprocessing) -> None:
    assert Preprocessing.from_json(json.loads(json.dumps(how.to_json()))) == how


@settings(deadline=None, max_examples=200)
@given(
    how=preprocessings(),
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    wanted=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_any_picture_becomes_the_wanted_size(
    how: Preprocessing, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    pixels = how.pixels(plain(*size), *wanted)
    assert pixels.shape == (*wanted, how.channels)
    assert pixels.dtype == np.uint8


def test_rounding_does_not_put_the_crop_outside_the_picture() -> None:
    """29 × 33 for a square: 29 / 7 × 7 is a hair more than 29, which Pillow refuses as a box."""
    pixels = Preprocessing(resize="crop").pixels(plain(29, 33), 3, 7)
    assert pixels.min() == 255


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_is_read_as_rgb(mode: str) -> None:
    image = plain(4, 4).convert(mode)
    assert Preprocessing().pixels(image, 4, 4).tolist() == np.full((4, 4, 3), 255).tolist()


@given(preprocessings().filter(lambda p: p.color != "gray"))
@settings(deadline=None, max_examples=30)
def test_bgr_is_rgb_reversed(how: Preprocessing) -> None:
    rng = np.random.default_rng(0)
    image = picture(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8))
    fields = how.to_json()
    rgb = Preprocessing.from_json({**fields, "color": "rgb"}).pixels(image, 6, 5)
    bgr = Preprocessing.from_json({**fields, "color": "bgr"}).pixels(image, 6, 5)
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])


def test_mean_and_std_go_with_their_channels() -> None:
    how = Preprocessing(scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    got = how.tensor(np.full((1, 1, 3), 255, np.uint8))
    np.testing.assert_allclose(got, [[[0.9, 0.4, 0.175]]], rtol=1e-6)
    assert how.tensor_range == pytest.approx((-0.1, 0.9))


def quadrants() -> Any:
    """80 × 40: left half red, right half blue; a white frame of 4 pixels."""
    array = np.zeros((40, 80, 3), np.uint8)
    array[:, :40, 0] = 255
    array[:, 40:, 2] = 255
    for edge in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
        array[edge] = 255
    return picture(array)


def test_stretch_keeps_the_frame_on_all_sides() -> None:
    pixels = Preprocessing().pixels(quadrants(), 40, 40)
    for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert side.min() == 255
    assert pixels[20, 10].tolist() == [255, 0, 0]
    assert pixels[20, 30].tolist() == [0, 0, 255]


def test_crop_takes_the_centre_at_the_aspect_of_the_input() -> None:
    """The largest centred square of 80 × 40 are columns 20..60: top and bottom frame, no sides."""
    pixels = Preprocessing(resize="crop").pixels(quadrants(), 40, 40)
    np.testing.assert_array_equal(pixels, np.asarray(quadrants())[:, 20:60])


def test_crop_of_an_odd_margin_is_not_blurred() -> None:
    """Of 80 × 40 to 35 × 35, 45 columns and 5 rows are left over: the rest is taken as it is."""
    pixels = Preprocessing(resize="crop", crop_fraction=0.875).pixels(quadrants(), 35, 35)
    np.testing.assert_array_equal(pixels, np.asarray(quadrants())[2:37, 22:57])


def test_crop_fraction_takes_the_centre_of_that() -> None:
    """Half of the 40 × 40 square are its middle 20 × 20: rows 10..30, columns 30..50, no frame."""
    pixels = Preprocessing(resize="crop", crop_fraction=0.5).pixels(quadrants(), 20, 20)
    np.testing.assert_array_equal(pixels, np.asarray(quadrants())[10:30, 30:50])


def test_letterbox_shows_all_on_black() -> None:
    pixels = Preprocessing(resize="letterbox").pixels(quadrants(), 80, 80)
    np.testing.assert_array_equal(pixels[20:60], np.asarray(quadrants()))
    assert pixels[:20].max() == 0
    assert pixels[60:].max() == 0


def test_reducing_averages_instead_of_dropping_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = Preprocessing().pixels(picture(stripes), 8, 8)
    assert pixels.min() >= 120
    assert pixels.max() <= 135


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"colour": "rgb"}, "unknown field 'colour'"),
        ({"color": "yuv"}, "color is 'yuv'"),
        ({"resize": "squeeze"}, "resize is 'squeeze'"),
        ({"crop_fraction": 0}, "crop_fraction is 0"),
        ({"crop_fraction": 1.2}, "crop_fraction is 1.2"),
        ({"crop_fraction": "most"}, "crop_fraction is 'most'"),
        ({"scale": 0}, "scale and std must not be 0"),
        ({"scale": "1/255"}, "scale is '1/255'"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": True}, "scale is True"),
        ({"std": [1, 0, 1]}, "scale and std must not be 0"),
        ({"mean": [1, 2]}, "mean has 2 numbers for rgb"),
        ({"mean": []}, "mean has 0 numbers"),
        ({"mean": ["a", "b", "c"]}, "mean is 'a'"),
        ({"mean": {"r": 1}}, "mean is {'r': 1}"),
        ({"std": [1, 2, 3], "color": "gray"}, "std has 3 numbers for gray"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match="preprocessing") as caught:
        Preprocessing.from_json(fields)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("color", "channels"), [("rgb", 1), ("bgr", 1), ("gray", 3)])
def test_channels_must_be_those_of_the_input(color: Any, channels: int) -> None:
    network = stand_ins.network(
        {"image": (1, 8, 8, channels)}, preprocessing=Preprocessing(color=color)
    )
    with pytest.raises(UsageError, match=f"takes {channels}"):
        check_preprocessing(network)


def test_inputs_that_take_no_picture_are_not_meant() -> None:
    network = stand_ins.network(
        {"image": (1, 8, 8, 3), "age": (1, 1), "map": (1, 8, 8, 12)}, preprocessing=Preprocessing()
    )
    check_preprocessing(network)
