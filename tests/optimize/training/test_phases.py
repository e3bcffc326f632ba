"""Each way to compress: it does what was asked, learns something, and does not undo the one before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.errors import UsageError
from mlc.optimize.decide import FEWEST
from mlc.optimize.optimize import check_plan
from mlc.optimize.passes.linear import linears
from mlc.optimize.plan import quantize
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.optimize.training.cluster import Cluster
from mlc.optimize.training.examples import Examples
from mlc.optimize.training.masked import read_sparsity
from mlc.optimize.training.prune import Prune
from mlc.optimize.training.quantize import Quantize
from mlc.optimize.training.request import Training
from mlc.optimize.training.student import Keep
from mlc.optimize.training.thaw import freeze
from tests.optimize.training.conftest import Done, Run


def large(network: Network, depthwise: bool = True) -> dict[str, int]:
    """Weights of linear ops that matter, and the axis of their inputs."""
    body = Program.of(network).main
    return {
        op.kernel: op.input_axis
        for op in linears(body)
        if body.constant_value(op.kernel).size >= FEWEST and (depthwise or not op.depthwise)
    }


def agreement(network: Network, examples: Examples) -> float:
    reference = Reference(network)
    rows = examples.held_out
    name, output = network.inputs[0].name, network.outputs[0].name
    found = [reference.run({name: examples.inputs[0][k : k + 1]})[output].argmax() for k in rows]
    return float((np.array(found) == examples.teacher[0][rows].argmax(1)).mean())


@pytest.fixture(scope="module")
def pruned(run: Run) -> Done:
    return run(Prune(read_sparsity("0.75")), epochs=6)


@pytest.fixture(scope="module")
def pruned_and_clustered(run: Run, pruned: Done) -> Done:
    return run(Cluster(8, Keep(zeros=True)), epochs=2, network=pruned.network)


def test_exactly_so_many_weights_are_zero(pruned: Done, digits: Network) -> None:
    for name in large(digits, depthwise=False):
        values = pruned.constant(name)
        assert (values == 0).sum() == round(0.75 * values.size)


def test_training_heals_what_pruning_broke(pruned: Done, examples: Examples) -> None:
    start, best = pruned.record.epochs[0], pruned.record.epochs[pruned.record.kept]
    assert best.loss < start.loss / 2
    assert best.finished
    assert not pruned.record.epochs[1].finished, "zeros grow for 60 % of the steps"
    assert best.agreement is not None
    assert best.agreement == pytest.approx(agreement(pruned.network, examples)), "of what is kept"


def test_two_of_four(run: Run, digits: Network) -> None:
    done = run(Prune(read_sparsity("2:4")), epochs=1)
    for name, axis in large(digits, depthwise=False).items():
        groups = np.moveaxis(done.constant(name), axis, -1).reshape(-1, 4)
        assert ((groups != 0).sum(axis=1) == 2).all()


def test_clusters_are_as_few_as_asked(run: Run, digits: Network) -> None:
    done = run(Cluster(16), epochs=2)
    for name in large(digits):
        assert len(np.unique(done.constant(name))) <= 16
    assert done.record.kept > 0
    assert done.record.epochs[done.record.kept].loss < done.record.epochs[0].loss


def test_clustering_keeps_zeros(pruned: Done, pruned_and_clustered: Done, digits: Network) -> None:
    for name in large(digits):
        before, after = pruned.constant(name), pruned_and_clustered.constant(name)
        assert len(np.unique(after)) <= 8
        assert (after[before == 0] == 0).all()


def test_training_for_integers_improves_a_bad_plan(
    run: Run, digits: Network, examples: Examples
) -> None:
    spoiled = {}
    for name in large(digits, depthwise=False):
        spoiled[name] = Program.of(digits).main.constant_value(name).copy()
        spoiled[name].flat[0] = 3 * np.abs(spoiled[name]).max()  # sixteen steps must reach so far
    phase = Quantize(named("w4a8-per-tensor"))
    done = run(phase, epochs=6, network=freeze(digits, spoiled))
    start, best = done.record.epochs[0], done.record.epochs[done.record.kept]
    assert best.loss < start.loss / 4
    assert start.agreement is not None
    assert start.agreement < 0.9
    assert done.plan is not None
    check_plan(done.plan, done.network)
    assert not [n for n in Program.of(done.network).main.nodes if "FakeQuant" in n or "mlc" in n]
    simulated = simulate(done.network, done.plan)
    assert best.agreement is not None
    close = abs(agreement(simulated, examples) - best.agreement) * len(examples.held_out)
    assert close <= 1, "what was trained is what the plan means"


def test_training_for_integers_keeps_zeros_and_clusters(
    run: Run, pruned_and_clustered: Done, digits: Network
) -> None:
    keep = Keep(zeros=True, values=8)
    done = run(Quantize(named("w8a8-per-tensor"), keep=keep), network=pruned_and_clustered.network)
    assert done.plan is not None
    for name in large(digits):
        before, after = pruned_and_clustered.constant(name), done.constant(name)
        integers = quantize(after, done.plan.weight[name])
        assert len(np.unique(integers)) <= len(np.unique(after)) <= 8
        assert (after[before == 0] == 0).all()
        assert (integers[before == 0] == 0).all()


def test_what_cannot_be_compressed_is_told(digits: Network, examples: Examples) -> None:
    body = Program.of(digits).main
    small = Program.of(digits)
    for name in large(digits):  # no weight is left that matters
        small.main.set_constant(name, body.constant_value(name)[..., :1])
    network = small.network(digits)
    for phase in (Prune(read_sparsity("0.5")), Prune(read_sparsity("1:3")), Cluster(4)):
        with pytest.raises(UsageError, match="Nothing can be"):
            phase.begin(network, examples)


def test_phases_come_in_an_order_that_keeps_what_was_done() -> None:
    training = Training(prune=0.5, cluster=16, qat=True)
    phases = training.phases(named("w8a8-per-tensor"), "min-max", 200)
    titles = ["prune to 50 %", "cluster to 16 values", "train for w8a8-per-tensor"]
    assert [p.title for p in phases] == titles
    assert phases[1] == Cluster(16, Keep(zeros=True))
    assert phases[2] == replace(phases[2], keep=Keep(zeros=True, values=16))  # type: ignore[type-var]
    assert not Training().asked
    for recipe in ("fp32", "fp16", "w4-palette"):
        with pytest.raises(UsageError, match="trains for integers"):
            Training(qat=True).phases(named(recipe), "min-max", 200)
    with pytest.raises(UsageError, match="would become more"):
        Training(cluster=16).phases(named("int8"), "min-max", 200)
    with pytest.raises(UsageError, match="half of a weight"):
        Training(prune=0.3).phases(named("w4-palette"), "min-max", 200)
    for keeps in (Training(prune=0.5), Training(prune=0.3, cluster=16)):
        assert keeps.phases(named("w4-palette"), "min-max", 200)
    for wrong in ({"prune": 1.5}, {"cluster": 1}, {"epochs": -1}):
        with pytest.raises(UsageError):
            Training.of(wrong)


def test_no_epochs_are_no_training(run: Run, digits: Network, tmp_path: Path) -> None:
    done = run(Prune(read_sparsity("0.5")), epochs=0, folder=tmp_path)
    assert done.record.kept == 0
    for name in large(digits, depthwise=False):
        kept = done.constant(name)
        original = Program.of(digits).main.constant_value(name)
        np.testing.assert_array_equal(kept[kept != 0], original[kept != 0])
        assert (kept == 0).mean() == pytest.approx(0.5)
