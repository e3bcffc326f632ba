"""Every recipe in every format: what is on disk is what was asked for, or the row says what else it is.

A palette that came out as float32 once passed as verified. Here every artifact is read from disk and held
to the table of what its format can hold; where that is not what the recipe asks for, a note must say so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc import targets
from mlc.convert.execute import Reference
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, from_model
from mlc.data.dataset import Calibration
from mlc.data.synthesized import synthesize
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import EXAMPLES, named
from mlc.targets.expressed import FORMATS, Format
from mlc.targets.target import Emission
from tests.targets.held import Held, held

LARGE = 1024  # elements; smaller weights need not be compressed

RECIPES = (
    *EXAMPLES,
    *(
        "w8a8-per-tensor",
        "w4a8",
        "w1-palette",
        "w2-palette",
        "w3-uniform",
        "w8-palette",
        "w4a8-palette",
    ),
)

# What a note says of weights that are held as this where something else was asked for.
SAYS = {"float16": "float16", "int8": "8 bits", "palette4": "3 bits"}

Planned = Callable[[str], tuple[Network, Plan]]


@pytest.fixture(scope="module")
def planned() -> Planned:
    """The network as a build simplifies it, and the plan of a recipe, made once for all formats."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(32, 3, activation="relu")(image)
    x = layers.Conv2D(48, 1, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(40, activation="relu")(x)
    model = keras.Model(image, layers.Dense(32, name="scores")(x), name="small")
    network, _ = simplify(from_model(model, Description("small"), ReadOptions(batch=1)))

    @cache
    def plan(recipe: str) -> tuple[Network, Plan]:
        samples = Calibration(synthesize(network, 4), network, 4)
        return network, make_plan(network, Request(named(recipe), samples))

    return plan


def emit(form: Format, network: Network, plan: Plan, folder: Path) -> tuple[Emission, Held]:
    room = targets.target(form.target)
    path = folder / f"small{room.SUFFIX}"
    emission = room.emit(network, plan, None, form.options, path)
    return emission, held(form.target, path, LARGE)


# Every format with every recipe; of what older iOS versions lack of newer ones, a few.
OLDER = ("fp16", "int8", "w4", "w3-uniform", "w4a8-palette")
CASES = [
    pytest.param(form, recipe, id=f"{form.name}-{recipe}")
    for form in FORMATS
    for recipe in (OLDER if form.options.ios < 17 and form.target == "coreml" else RECIPES)
]


@pytest.mark.parametrize(("form", "recipe"), CASES)
def test_what_is_on_disk_is_what_was_asked_for_or_told(
    form: Format, recipe: str, planned: Planned, tmp_path: Path
) -> None:
    network, plan = planned(recipe)
    emission, found = emit(form, network, plan, tmp_path)
    meant, asked = form.stored(plan.recipe), plan.recipe

    assert len(found.kernels) == 4
    assert {kernel.kind for kernel in found.kernels} == {_type(meant.kind)}
    if meant.values is not None:
        assert max(kernel.values for kernel in found.kernels) <= meant.values
    if meant.kind in ("int8", "int4"):
        scales = {kernel.scales for kernel in found.kernels}
        assert scales == {1} if not asked.per_channel else min(scales) > 1
    assert found.activations == {meant.activations}

    if form.target == "coreml":
        assert targets.target(form.target).inspect(emission.path).weights == meant.kind
    assert emission.activations == meant.activations
    values = meant.kind == "float16" and meant.values is not None
    assert emission.weights == (asked.weights if values else meant.kind)
    told = " ".join(emission.notes)
    if meant.kind != asked.weights:
        assert SAYS[meant.kind] in told, "weights are held otherwise and nobody is told"
    if asked.activations != meant.activations and asked.activations != "float32":
        assert meant.activations in told, "activations are held otherwise and nobody is told"
    with closing(targets.target(form.target).open(emission.path)) as runtime:
        feeds = {"image": np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype("float32")}
        answer, expected = runtime.run(feeds)["scores"], Reference(network).run(feeds)["scores"]
        assert np.corrcoef(answer.ravel(), expected.ravel())[0, 1] > 0.5


def _type(weights: str) -> str:
    return "index" if weights.startswith("palette") else weights


@pytest.mark.parametrize("form", FORMATS[3:], ids=lambda form: form.name)
def test_weights_that_were_not_lowered_are_not_claimed(
    form: Format, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan for weights that are not in the network: what a lowering that does nothing would leave."""
    network, plan = planned("w4-palette")
    from dataclasses import replace

    nothing: dict[str, Any] = {"weights": (), "activations": ()}
    emission, found = emit(form, network, replace(plan, **nothing), tmp_path)
    claims = emission.weights == "palette4"
    holds = max(kernel.values for kernel in found.kernels) <= 16
    assert claims == holds
