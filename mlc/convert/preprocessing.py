"""Preprocessing: how a picture becomes the input tensor. Declared once, used everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mlc.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Color", "Preprocessing", "Resize"]

Color = Literal["rgb", "bgr", "gray"]
Resize = Literal["stretch", "crop", "letterbox"]


@dataclass(frozen=True)
class Preprocessing:
    """`tensor = (pixel * scale - mean) / std`, with pixel an integer in 0..255.

    `mean` and `std` hold one number, or one per channel in the order of `color`. The defaults pass raw
    pixels. Resizing is bilinear with antialiasing (a triangle filter as wide as the reduction), columns
    first, then rows, rounded to whole pixels after each:

    * `stretch` fills the input, whatever the aspect ratio;
    * `crop` takes the centre `crop_fraction` of the largest centred rectangle of the input's aspect, its
      corner rounded down to a whole pixel, as `tf.keras.layers.CenterCrop` does: half a pixel would blur;
    * `letterbox` fits the whole picture, centred, on black.
    """

    color: Color = "rgb"
    resize: Resize = "stretch"
    crop_fraction: float = 1.0
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, numbers in (
            ("crop_fraction", (self.crop_fraction,)),
            ("scale", (self.scale,)),
            ("mean", self.mean),
            ("std", self.std),
        ):
            for number in numbers:
                if not _is_number(number):
                    raise UsageError(
                        f"preprocessing: {name} is {number!r}.", "Give finite numbers, e.g. 127.5."
                    )
        for name, value, allowed in (
            ("color", self.color, get_args(Color)),
            ("resize", self.resize, get_args(Resize)),
        ):
            if value not in allowed:
                raise UsageError(
                    f"preprocessing: {name} is {value!r}.", f"Use {' or '.join(allowed)}."
                )
        if not 0 < self.crop_fraction <= 1:
            raise UsageError(
                f"preprocessing: crop_fraction is {self.crop_fraction}.",
                "Use a number above 0, at most 1 (0.875 is common).",
            )
        if self.scale == 0 or 0 in self.std:
            raise UsageError(
                "preprocessing: scale and std must not be 0.", "Correct mlc.toml or flags."
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise UsageError(
                    f"preprocessing: {name} has {len(values)} numbers for {self.color}.",
                    f"Give one, or {self.channels}.",
                )

    @property
    def channels(self) -> int:
        """1 for gray, else 3."""
        return 1 if self.color == "gray" else 3

    @property
    def tensor_range(self) -> tuple[float, float]:
        """Lowest and highest value that a pixel can become."""
        ends = [(p * self.scale - m) / s for p in (0, 255) for m, s in self._per_channel()]
        return min(ends), max(ends)

    def pixels(self, image: Image, height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Resize and order the channels of a picture: uint8 (height, width, channels)."""
        from PIL import Image as Pillow

        upright = image.convert("L" if self.color == "gray" else "RGB")
        if self.resize == "stretch":
            fitted = _resized(upright, width, height)
        elif self.resize == "crop":
            shrink = min(upright.width / width, upright.height / height) * self.crop_fraction
            # Rounding may put the box outside the picture by a hair, which Pillow refuses.
            dx = max(0.0, upright.width - width * shrink)
            dy = max(0.0, upright.height - height * shrink)
            left, top = dx // 2, dy // 2
            box = (left, top, left + upright.width - dx, top + upright.height - dy)
            fitted = _resized(upright, width, height, box)
        else:
            grow = min(width / upright.width, height / upright.height)
            size = (max(1, round(upright.width * grow)), max(1, round(upright.height * grow)))
            fitted = Pillow.new(upright.mode, (width, height))
            corner = ((width - size[0]) // 2, (height - size[1]) // 2)
            fitted.paste(_resized(upright, *size), corner)
        array = np.asarray(fitted).reshape(height, width, self.channels)
        return array[..., ::-1] if self.color == "bgr" else array

    def tensor(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Scale pixels (..., channels), 0..255, to the float32 values the network was trained on."""
        mean = np.asarray(self.mean, np.float32)
        std = np.asarray(self.std, np.float32)
        return (pixels.astype(np.float32) * np.float32(self.scale) - mean) / std

    def to_json(self) -> dict[str, Any]:
        """Plain data for manifests and metadata."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Preprocessing:
        """Read back what `to_json` wrote, or what a person wrote in mlc.toml.

        Raises `UsageError` for an unknown field or a value outside its range.
        """
        unknown = set(fields) - set(cls.__dataclass_fields__)
        if unknown:
            raise UsageError(
                f"preprocessing: unknown field {sorted(unknown)[0]!r}.",
                f"Known are {', '.join(cls.__dataclass_fields__)}.",
            )

        lists: dict[str, Any] = {k: _as_tuple(fields[k]) for k in ("mean", "std") if k in fields}
        return cls(**{**fields, **lists})

    def _per_channel(self) -> list[tuple[float, float]]:
        widen = max(len(self.mean), len(self.std))
        return list(
            zip(
                self.mean * (widen // len(self.mean)),
                self.std * (widen // len(self.std)),
                strict=True,
            )
        )


def _resized(
    image: Image, width: int, height: int, box: tuple[float, float, float, float] | None = None
) -> Image:
    """Pillow's BILINEAR, which from version 13 on takes rows first where that is less work.

    Generated app code has to do the same to the last bit, and so has every Pillow: so in two calls.
    """
    from PIL.Image import Resampling

    left, top, right, bottom = box or (0, 0, image.width, image.height)
    narrow = image.resize(
        (width, image.height), Resampling.BILINEAR, (left, 0, right, image.height)
    )
    return narrow.resize((width, height), Resampling.BILINEAR, (0, top, width, bottom))


def _is_number(value: object) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
    )


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """One number or a list of them; what is neither is refused by the class itself."""
    values = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(float(v) if _is_number(v) else v for v in values)
