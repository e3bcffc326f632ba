"""What the passes make of each kind of network computes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network
from mlc.data.dataset import batches
from mlc.data.synthesized import synthesize
from mlc.optimize.optimize import simplify
from tests import networks


@pytest.mark.parametrize("name", sorted(networks.BUILDERS))
def test_a_simplified_network_computes_the_same(name: str, frozen: Callable[..., Network]) -> None:
    network = frozen(name)
    simpler, steps = simplify(network)
    assert steps[-1].after < steps[0].before
    original, simplified = Reference(network), Reference(simpler)
    for feeds, _ in batches(synthesize(network, 2), network):
        found = simplified.run(feeds)
        for output, wanted in original.run(feeds).items():
            assert np.abs(found[output] - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())
