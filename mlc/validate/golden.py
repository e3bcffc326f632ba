"""Golden cases: a few inputs with the network's own outputs, for apps to check themselves by on a device.

They are written beside the references, in the form in which they go into the bundle:

* `cases.json`: an object per case, naming its files;
* `N.png`: the picture as it came, where the input is a picture;
* `N.inputK.bin`, `N.outputK.bin`: tensors as raw little-endian float32, whatever their type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.convert.pictures import PictureInput, picture_input
from mlc.data.dataset import Dataset, Sample, stack
from mlc.data.synthesized import Synthesized, picture
from mlc.targets.target import Array, Runtime
from mlc.validate.compare import answers, as_fed, match, reshaped
from mlc.validate.evidence import Golden

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CASES", "FOLDER", "measure", "read_cases", "record_cases"]

FOLDER = "golden"  # beside the references, and in a bundle
CASES = "cases.json"

# A golden picture is at most so many times as large as the input: resizing is tested, apps stay small.
_LARGEST = 1.5


def record_cases(
    reference: Runtime, network: Network, dataset: Dataset, count: int, folder: Path
) -> None:
    """Write `count` samples of `dataset` as cases into the new `folder`; none for inputs of text.

    A large picture is reduced first, so that picture, tensor and outputs of a case belong together. Where
    the user gave no data a picture is made up, so that apps can test their preprocessing all the same.
    """
    folder.mkdir()
    cases = []
    numeric = all(np.dtype(s.dtype).kind in "biuf" for s in (*network.inputs, *network.outputs))
    for number, sample in enumerate(_samples(network, dataset, count if numeric else 0), start=1):
        feeds = {
            name: array.astype(np.float32).astype(array.dtype)  # as it will be read
            for name, array in stack([sample], network).items()
        }
        outputs = reference.run(feeds)
        if sample.picture is not None:
            sample.picture.save(folder / f"{number}.png")
        cases.append(
            {
                "name": str(number),
                "picture": f"{number}.png" if sample.picture is not None else None,
                "inputs": _write(folder, f"{number}.input", network.inputs, feeds),
                "outputs": _write(folder, f"{number}.output", network.outputs, outputs),
                "top1": _answer(network, outputs),
            }
        )
    (folder / CASES).write_text(json.dumps(cases, indent=1), encoding="utf-8")


def read_cases(folder: Path) -> list[dict[str, Any]]:
    """What `record_cases` wrote; empty where there are none."""
    file = folder / CASES
    cases: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return cases


def measure(runtime: Runtime, network: Network, folder: Path) -> Golden | None:
    """Run the cases on an artifact; None where there are none.

    Raises `UnverifiableError` when inputs or outputs of the artifact cannot be matched.
    """
    cases = read_cases(folder)
    if not cases:
        return None
    to_feed = match(network.inputs, runtime.inputs, "input")
    to_result = match(network.outputs, runtime.outputs, "output")
    errors = {spec.name: 0.0 for spec in network.outputs}
    top1 = []
    for case in cases:
        feeds = _read(folder, case["inputs"], network.inputs)
        expected = _read(folder, case["outputs"], network.outputs)
        results = runtime.run(as_fed(feeds, to_feed, runtime))
        got = {
            s.name: reshaped(results[to_result[s.name]], expected[s.name], s)
            for s in network.outputs
        }
        for name, array in got.items():
            difference = np.abs(array.astype(np.float64) - expected[name].astype(np.float64))
            errors[name] = max(errors[name], float(difference.max(initial=0)))
        top1.append(_answer(network, got))
    return Golden(errors, tuple(top1))


def _samples(network: Network, dataset: Dataset, count: int) -> Iterable[Sample]:
    if count == 0:
        return
    how = picture_input(network)
    for number, sample in enumerate(dataset.few(count).samples()):
        if how is None:
            yield replace(sample, picture=None)
        elif sample.picture is not None:
            yield _of(_reduced(sample.picture, how), how)
        elif isinstance(dataset, Synthesized):
            yield _of(_made_up(number, how), how)
        else:
            yield sample  # the user's own tensors


def _of(image: Image, how: PictureInput) -> Sample:
    return Sample({how.name: how.tensor(image)}, picture=image)


def _reduced(image: Image, how: PictureInput) -> Image:
    plain = image.convert("RGB")
    largest = round(_LARGEST * max(how.height, how.width))
    plain.thumbnail((largest, largest))
    return plain


def _made_up(number: int, how: PictureInput) -> Image:
    """Of another size and aspect than the input, so that resizing is tested."""
    from PIL import Image as Pillow

    rng = np.random.default_rng(number)
    noise = picture(rng, how.height + how.height // 4, how.width + how.width // 2, 3)
    return Pillow.fromarray((255 * noise).astype(np.uint8))


def _answer(network: Network, outputs: dict[str, Array]) -> int | None:
    return int(answers(outputs[network.outputs[0].name])[0]) if network.is_classifier else None


def _write(
    folder: Path, stem: str, specs: Iterable[TensorSpec], arrays: dict[str, Array]
) -> list[dict[str, Any]]:
    rows = []
    for number, spec in enumerate(specs):
        array, file = arrays[spec.name], f"{stem}{number}.bin"
        (folder / file).write_bytes(array.astype("<f4").tobytes())
        rows.append({"name": spec.name, "file": file, "shape": list(array.shape)})
    return rows


def _read(
    folder: Path, rows: list[dict[str, Any]], specs: Iterable[TensorSpec]
) -> dict[str, Array]:
    return {
        row["name"]: np.frombuffer((folder / row["file"]).read_bytes(), "<f4")
        .reshape(row["shape"])
        .astype(spec.dtype)
        for row, spec in zip(rows, specs, strict=True)
    }
