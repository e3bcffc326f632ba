"""The training loop: Adam, a cosine schedule, the original as teacher, the best epoch kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.optimize.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from mlc.optimize.training.examples import CALL, Examples
from mlc.optimize.training.record import Epoch
from mlc.optimize.training.scores import agreement, distillation
from mlc.optimize.training.teacher import Teacher
from mlc.optimize.training.thaw import Parameter, Thawed
from mlc.progress import Advance, tell

__all__ = ["Course", "Fitted", "fit", "mixed"]

Array = np.ndarray[Any, np.dtype[Any]]

_BATCH = 32
_TELL_SECONDS = 0.5
_LEAST_RATE = 0.01  # of the learning rate, at the end of the cosine
_WARM = 0.1  # of all steps: Adam knows nothing of the gradients yet


@dataclass(frozen=True)
class Course:
    """How to train.

    `before_step` is told, before each step, which share of all steps is done; it may change parameters.
    `finished` says whether the network is as it was asked for: epochs where it is not cannot be kept.
    """

    teacher: Teacher
    epochs: int
    learning_rate: float
    labels: float = 0.0  # their weight in the loss, where there are any
    before_step: Callable[[float], None] = lambda share: None
    finished: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Fitted:
    """The constants of the best epoch by name, how all epochs went, and which it was."""

    values: Mapping[str, Array]
    epochs: tuple[Epoch, ...]
    kept: int


def fit(
    student: Thawed,
    parameters: Mapping[str, Parameter],
    examples: Examples,
    course: Course,
    folder: Path,
) -> Fitted:
    """Train `parameters` until the student answers as the teacher does; parameters are left as they end.

    Epoch 0 is the student as it is given; it is kept where no epoch is better. After each epoch
    everything is written into `folder`, and a call that finds it there goes on from it: with the same
    result, bit for bit, as one that was never interrupted.
    """
    with _deterministic():
        loop = _Loop(student, parameters, examples, course)
        state = read_checkpoint(folder)
        if state is None:
            state = Checkpoint([loop.measure()], 0, _frozen(parameters), [], [])
            loop.prepare()
        else:
            loop.restore(state)
        begun, resumed_at = time.monotonic(), len(state.epochs)
        while len(state.epochs) <= course.epochs:
            number = len(state.epochs)
            learned = 0.0
            for step, learned in loop.steps(number):
                share = (number - 1 + step) / course.epochs
                since = (number - resumed_at + step) / (course.epochs - resumed_at + 1)
                tell(folder, Advance(share, _news(state, course, learned, since, begun)))
            state = _judged(state, loop.measure(learned), parameters)
            state = Checkpoint(state.epochs, state.kept, state.values, *loop.state())
            write_checkpoint(state, folder)
            if not np.isfinite(learned):
                break  # lost for good: what was best stays
        return Fitted(state.values, tuple(state.epochs), state.kept)


def _judged(state: Checkpoint, now: Epoch, parameters: Mapping[str, Parameter]) -> Checkpoint:
    """The state with one epoch more, which is kept if it is better than the best so far."""
    epochs = [*state.epochs, now]
    if now.finished and now.loss < state.epochs[state.kept].loss:
        return Checkpoint(epochs, len(epochs) - 1, _frozen(parameters), [], [])
    return Checkpoint(epochs, state.kept, state.values, [], [])


def _frozen(parameters: Mapping[str, Parameter]) -> dict[str, Array]:
    return {name: p.frozen().copy() for name, p in parameters.items()}


def _news(state: Checkpoint, course: Course, loss: float, share: float, begun: float) -> str:
    last = state.epochs[-1]
    left = (time.monotonic() - begun) * (1 - share) / max(share, 1e-3)
    answers = "" if last.agreement is None else f" · agreement {last.agreement:.1%}"
    clock = f"{int(left) // 60}:{int(left) % 60:02} left"
    return f"epoch {len(state.epochs)}/{course.epochs} · loss {loss:.3g}{answers} · {clock}"


class _Loop:
    """Steps and measurements. State: the parameters, the optimizer, when news were told last."""

    def __init__(
        self,
        student: Thawed,
        parameters: Mapping[str, Parameter],
        examples: Examples,
        course: Course,
    ) -> None:
        import keras
        import tensorflow as tf

        self._examples, self._course, self._parameters = examples, course, parameters
        self._batch = min(_BATCH, len(examples.learned))
        self._steps = len(examples.learned) // self._batch
        self._variables = [v for p in parameters.values() for v in p.trained]
        steps = self._steps * course.epochs
        warm = round(_WARM * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(steps - warm, 1),
            _LEAST_RATE,
            warmup_target=course.learning_rate,
            warmup_steps=warm,
        )
        self._optimizer = keras.optimizers.Adam(rate)
        self._optimizer.build(self._variables)
        kinds, spans = examples.kinds, examples.spans

        def step(inputs: Any, labels: Any) -> Any:
            with tf.GradientTape() as tape:
                found, told, distances = student.taught(inputs, course.teacher)
                each = distillation(kinds, found, told, spans, labels, course.labels)
                loss = tf.reduce_mean(each + distances)
            self._optimizer.apply(tape.gradient(loss, self._variables), self._variables)
            return loss

        def measure(inputs: Any, teacher: Any, labels: Any) -> Any:
            found = student(inputs)
            same = agreement(kinds, found, teacher)
            loss = distillation(kinds, found, teacher, spans)
            return loss, tf.zeros_like(loss) if same is None else same

        self._step = tf.function(step, autograph=False)
        self._measure = tf.function(measure, autograph=False, reduce_retracing=True)
        self._answers = any(k.classes or k.kind == "sigmoid" for k in kinds)

    def prepare(self) -> None:
        """Bring the parameters from the start, which was measured, to where training begins."""
        self._course.before_step(0.0)

    def steps(self, epoch: int) -> Iterator[tuple[float, float]]:
        """Train one epoch; yields the share of it that is done and the mean loss, now and then."""
        rng = np.random.default_rng(epoch)
        order = rng.permutation(self._examples.learned)
        total, told = 0.0, time.monotonic()
        for k in range(self._steps):
            self._course.before_step((epoch - 1 + k / self._steps) / self._course.epochs)
            rows = np.sort(order[k * self._batch : (k + 1) * self._batch])
            inputs, _, labels = self._examples.batch(rows)
            total += float(self._step(*_tensors(*mixed(inputs, labels, rng))))
            if k + 1 == self._steps or time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                yield (k + 1) / self._steps, total / (k + 1)

    def measure(self, learned: float | None = None) -> Epoch:
        """Loss and agreement over the samples that were held out."""
        rows = self._examples.held_out
        parts = [
            self._measure(*_tensors(*self._examples.batch(rows[at : at + CALL])))
            for at in range(0, len(rows), CALL)
        ]
        loss, same = (np.concatenate([np.asarray(p[k]) for p in parts]) for k in (0, 1))
        return Epoch(
            learned,
            float(loss.mean(dtype=np.float64)) if np.isfinite(loss).all() else float("inf"),
            float(same.mean(dtype=np.float64)) if self._answers else None,
            finished=self._course.finished(),
        )

    def state(self) -> tuple[list[Array], list[Array]]:
        """Everything that the next step depends on: parameters, optimizer."""
        return (
            [np.asarray(v) for v in self._all_variables()],
            [np.asarray(v) for v in self._optimizer.variables],
        )

    def restore(self, state: Checkpoint) -> None:
        """Go on where `state` was taken."""
        for variable, values in zip(self._all_variables(), state.parameters, strict=True):
            variable.assign(values)
        for variable, values in zip(self._optimizer.variables, state.optimizer, strict=True):
            variable.assign(values)

    def _all_variables(self) -> Sequence[Any]:
        return [v for p in self._parameters.values() for v in (*p.trained, *p.kept)]


def mixed(
    inputs: Sequence[Array], labels: Array | None, rng: np.random.Generator
) -> tuple[list[Array], Array | None]:
    """Every second sample of a batch becomes a weighted mean of itself and another one.

    The teacher is asked what it says of them: so few samples become as many as there are steps, and the
    student learns the function, not the samples by heart (Beyer et al. 2022; mixup: Zhang et al. 2018).
    Mixtures have no label, -1. Inputs that are not floats cannot be mixed: then all stay as they are.
    """
    count = len(inputs[0])
    if not all(np.issubdtype(array.dtype, np.floating) for array in inputs):
        return list(inputs), labels
    others = rng.permutation(count)
    shares = np.where(np.arange(count) % 2, rng.uniform(size=count), 1.0).astype(np.float32)
    means = []
    for array in inputs:
        share = shares.reshape(-1, *[1] * (array.ndim - 1))
        means.append((array * share + array[others] * (1 - share)).astype(array.dtype))
    return means, None if labels is None else np.where(shares < 1, -1, labels).astype(labels.dtype)


def _tensors(*parts: Any) -> list[Any]:
    import tensorflow as tf

    return [
        [tf.constant(a) for a in part] if isinstance(part, list) else part
        if part is None else tf.constant(part)
        for part in parts
    ]  # fmt: skip


@contextmanager
def _deterministic() -> Iterator[None]:
    """Sums are made in the same order every time, so that equal runs give equal bytes."""
    import tensorflow as tf
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if not before:  # other stages share this process
            config.disable_op_determinism()
