"""Networks with real weights and real pictures, in ../shared/data: what benches compare on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlc.config import load, resolve
from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, read
from mlc.data.dataset import open_data
from mlc.optimize.optimize import simplify
from mlc.optimize.passes.equalize import pairs, scale

__all__ = ["Subject", "hotdog", "lite0", "resnet8", "scaled"]

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
SIDE, KEPT, EVERY = 224, 0.875, 5

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, pictures to calibrate on, others to compare on, and what it answers itself."""

    title: str
    source: Path
    network: Network
    calibration: Array
    pictures: Array
    labels: Array

    def samples(self) -> Iterator[dict[str, Array]]:
        """One calibration picture at a time."""
        for picture in self.calibration:
            yield {self.network.inputs[0].name: picture[np.newaxis]}

    @cached_property
    def answers(self) -> Array:
        """The classes of the original network."""
        return self.ask(Reference(self.network).run, self.network.inputs[0].name)

    def ask(self, run: Callable[[Any], Mapping[str, Array]], name: str) -> Array:
        """The class that `run` gives each compared picture, fed as the input of that name."""
        found = []
        for picture in self.pictures:
            (scores,) = run({name: picture[np.newaxis]}).values()
            found.append(int(np.argmax(scores)))
        return np.array(found)


def lite0() -> Subject:
    """EfficientNet-Lite0 with ImageNet weights."""
    source = SHARED / "models" / "efficientnet_lite0_imagenet.keras"
    files = sorted((SHARED / "imagenet_500").glob("*.jpg"))
    pictures = np.stack([tensor(file) for file in files])
    labels = np.array([int(file.name[:4]) for file in files])
    compared = np.arange(len(files)) % EVERY != 0
    network = read(source, Description("lite0"), ReadOptions())
    found = pictures[~compared], pictures[compared], labels[compared]
    return Subject("EfficientNet-Lite0, ImageNet", source, network, *found)


def resnet8() -> Subject:
    """ResNet-8 as MLPerf Tiny publishes it."""
    source = SHARED / "models" / "mlperf_tiny" / "pretrainedResnet.h5"
    stored = np.load(SHARED / "cifar10_3000.npz")
    pictures, labels = stored["images"].astype(np.float32), stored["labels"].reshape(-1)
    network = read(source, Description("resnet8"), ReadOptions())
    found = pictures[:1000:5], pictures[1000:], labels[1000:]
    return Subject("ResNet-8 of MLPerf Tiny, CIFAR-10", source, network, *found)


def scaled() -> Subject:
    """ResNet-8 with channels multiplied by 2^U(-3, 3), and what reads them divided: the same function."""
    healthy = resnet8()
    simpler, _ = simplify(healthy.network)
    program, rng = Program.of(simpler), np.random.default_rng(0)
    for pair in pairs(program.main):
        channels = program.main.constant_value(pair.second.kernel).shape[pair.second.input_axis]
        scale(program.main, pair, 2 ** rng.uniform(-3, 3, channels))
    network = program.network(simpler)
    return replace(healthy, title="ResNet-8, badly scaled", network=network)


def hotdog() -> Subject:
    """The example Not Hotdog with its own preprocessing; 200 pictures of its train folder calibrate."""
    source = ROOT / "examples" / "not_hotdog" / "not_hotdog.h5"
    config = resolve(source, None, load(source, None), {})
    network = read(source, config.description, config.read)
    network = network.described(preprocessing=config.preprocessing, labels=config.labels)
    name = network.inputs[0].name
    folders = ((SHARED / "hotdog" / "train", 200), (SHARED / "hotdog" / "test", 1000))
    train, test = (list(open_data(str(f), network, most).samples()) for f, most in folders)
    calibration, pictures = (np.stack([s.feeds[name] for s in part]) for part in (train, test))
    labels = np.array([sample.label for sample in test])
    return Subject("Not Hotdog, photos", source, network, calibration, pictures, labels)


def tensor(file: Path) -> Array:
    """The centre of a picture as the network was trained on it: (224, 224, 3), -0.99 … 1."""
    from PIL import Image

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    side = int(KEPT * min(picture.size))
    left, top = ((length - side) // 2 for length in picture.size)
    picture = picture.crop((left, top, left + side, top + side))
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return (np.asarray(picture, np.float32) - 127) / 128
