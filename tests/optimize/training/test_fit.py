"""The loop: deterministic, resumable to the bit, never worse than its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.convert.network import Network
from mlc.data.dataset import Dataset
from mlc.errors import DataError
from mlc.optimize.training import fit as loop
from mlc.optimize.training.checkpoint import read_checkpoint
from mlc.optimize.training.examples import Examples, collect
from mlc.optimize.training.masked import read_sparsity
from mlc.optimize.training.prune import Prune
from mlc.progress import look
from tests.optimize.training.conftest import Run


class InterruptedRunError(Exception):
    pass


def test_a_run_that_was_interrupted_ends_with_the_same_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = Prune(read_sparsity("0.5"))
    whole = run(phase, epochs=2)
    write, written = loop.write_checkpoint, []

    def interrupt(*arguments: Any) -> None:
        write(*arguments)
        written.append(arguments)
        if len(written) == 1:
            raise InterruptedRunError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_checkpoint", interrupt)
        with pytest.raises(InterruptedRunError):
            run(phase, epochs=2, folder=tmp_path)
    state = read_checkpoint(tmp_path)
    assert state is not None
    assert len(state.epochs) == 2, "the start and one epoch"
    resumed = run(phase, epochs=2, folder=tmp_path)
    assert resumed.network.graph == whole.network.graph
    assert resumed.record == whole.record
    assert resumed.plan == whole.plan


@dataclass(frozen=True)
class Careless(Prune):
    """Steps that are far too large."""

    @property
    def learning_rate(self) -> float:
        return 30.0


def test_a_run_that_makes_it_worse_keeps_the_start_and_says_so(run: Run) -> None:
    start = run(Prune(read_sparsity("0.3")), epochs=0)
    done = run(Careless(read_sparsity("0.3")), epochs=2)
    assert done.record.kept == 0
    assert done.network.graph == start.network.graph
    assert "made it worse" in str(done.record)
    assert "start was kept" in str(done.record)


@given(st.integers(1, 9), st.integers(0, 99))
def test_every_second_sample_is_mixed_with_another(count: int, seed: int) -> None:
    one, other = np.arange(count, dtype=np.float32), np.ones((count, 2, 2), np.float32)
    (mixture, same), labels = loop.mixed(
        [one, other], np.arange(count, dtype=np.int32), np.random.default_rng(seed)
    )
    assert labels is not None
    np.testing.assert_array_equal(mixture[::2], one[::2])
    np.testing.assert_array_equal(labels[::2], one[::2])
    assert (labels[1::2] == -1).all()
    assert (mixture >= 0).all()
    assert (mixture <= count - 1).all()
    np.testing.assert_allclose(same, 1, rtol=1e-6)


def test_words_are_not_mixed() -> None:
    inputs, labels = [np.arange(6, dtype=np.int32)], np.zeros(6, np.int32)
    assert loop.mixed(inputs, labels, np.random.default_rng(0)) == (inputs, labels)


def test_progress_tells_loss_agreement_and_time_left(run: Run, tmp_path: Path) -> None:
    run(Prune(read_sparsity("0.5")), epochs=1, folder=tmp_path)
    advance = look(tmp_path)
    assert advance is not None
    assert advance.share == 1.0
    for part in ("epoch 1/1", "loss", "agreement", "left"):
        assert part in advance.news


def test_what_is_held_out_is_not_learned_from(examples: Examples) -> None:
    learned, held_out = set(examples.learned), set(examples.held_out)
    assert not learned & held_out
    assert learned | held_out == set(range(320))
    assert len(held_out) == 64


def test_the_teacher_is_the_original(examples: Examples, digits: Network) -> None:
    assert examples.labels is not None
    right = (examples.teacher[0].argmax(axis=1) == examples.labels).mean()
    assert right > 0.95
    fed = list(examples.feeds(10, 1))
    assert len(fed) == 10
    assert fed[0]["image"].shape == (1, 8, 8, 1)


@dataclass(frozen=True)
class Few:
    """Samples of a dataset that do not do for training."""

    data: Dataset
    count: int
    odd: bool = False
    title: str = "few samples"
    labelled: bool = False

    def samples(self) -> Any:
        from dataclasses import replace

        for k, sample in enumerate(list(self.data.samples())[: self.count]):
            smaller = {name: a[:4] for name, a in sample.feeds.items()}
            yield replace(sample, feeds=smaller) if self.odd and k else sample


def test_what_cannot_be_trained_on_is_told(data: Dataset, digits: Network, tmp_path: Path) -> None:
    few: Any = Few(data, 9)
    with pytest.raises(DataError, match="9 samples are too few"):
        collect(tmp_path, few, digits)
    odd: Any = Few(data, 20, odd=True)
    with pytest.raises(DataError, match="differ in shape"):
        collect(tmp_path, odd, digits)


def test_other_stages_find_determinism_as_it_was() -> None:
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    with loop._deterministic():
        assert config.is_op_determinism_enabled()
    assert config.is_op_determinism_enabled() == before
