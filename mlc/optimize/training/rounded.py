"""What integers do to a network, as arithmetic that gradients can pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body
from mlc.optimize.decide import FIXED
from mlc.optimize.plan import Activation, Plan, Weight
from mlc.optimize.training.thaw import Parameter

__all__ = ["Rounded", "Scale", "round_activations", "with_scales"]

Array = np.ndarray[Any, np.dtype[Any]]

_LOST = 13  # of the 24 significant bits of float32: scales have 11
_PACE = 10.0  # scales move so many times as fast as weights, in relation to their size


class Rounded:
    """A parameter that the network sees rounded to its grid. State: that of the parameter.

    The grid follows the weights: its scale is decided anew at each step, as `decide_weights` does at
    the end. Gradients pass the rounding as if it were not there (Bengio et al. 2013; Jacob et al. 2018).
    """

    def __init__(self, inner: Parameter, weight: Weight) -> None:
        self._inner, self._weight = inner, weight
        self.trained: Sequence[Any] = inner.trained
        self.kept: Sequence[Any] = inner.kept

    def tensor(self) -> Any:
        """What the integers stand for."""
        import tensorflow as tf

        values = self._inner.tensor()
        return values + tf.stop_gradient(self._on_grid(values) - values)

    def frozen(self) -> Array:
        """The same as an array: what the network learned is what it is rounded to, and a plan made of
        it has the same grid.
        """
        return np.asarray(self._on_grid(self._inner.tensor()))

    def _on_grid(self, values: Any) -> Any:
        import tensorflow as tf

        others = [i for i in range(values.shape.rank) if i not in self._weight.axes]
        peak = tf.reduce_max(tf.abs(values), axis=others, keepdims=True)
        most = 2 ** (self._weight.bits - 1) - 1
        scale = tf.stop_gradient(_exact(tf.where(peak > 0, peak, 1.0) / most))
        return tf.round(values / scale) * scale


class Scale:
    """Scale of an activation. State: its logarithm, so that it stays positive and moves by ratios."""

    def __init__(self, scale: Array) -> None:
        import tensorflow as tf

        self._start = scale
        self._growth = tf.Variable(np.float32(0))
        self.trained: Sequence[Any] = [self._growth]
        self.kept: Sequence[Any] = []

    def tensor(self) -> Any:
        """A scalar."""
        import tensorflow as tf

        free = self._start * tf.exp(_PACE * self._growth)
        return free + tf.stop_gradient(_exact(free) - free)

    def frozen(self) -> Array:
        """The scale, a float32 scalar."""
        return np.asarray(self.tensor())


def _exact(scale: Any) -> Any:
    """`exact`, as ops: weights that training leaves between two integers fall as the plan has them fall.

    Of float32 the last 13 of 24 significant bits go, halves to even.
    """
    import tensorflow as tf

    bits = tf.bitcast(scale, tf.int32)
    odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, _LOST), 1)
    nearest = bits + (2 ** (_LOST - 1) - 1) + odd
    return tf.bitcast(tf.bitwise.bitwise_and(nearest, -(2**_LOST)), tf.float32)


def round_activations(body: Body, plan: Plan) -> dict[str, str]:
    """Put every integer activation on its grid, with a scale `s` that can be trained.

    ::

        Before:  x ─► y

        After:   x ─► RealDiv(s) ─► Round ─► ClipByValue(−128 − z, 127 − z) ─► Mul(s) ─► y

    Gradients pass the rounding as if it were not there. Tensors of one scale share one constant `s`:
    integer kernels that only move values need that.

    Returns the name of the constant by the name of each activation, without those whose scale is not
    ours to choose: inputs, and ops that write one fixed range.
    """
    import tensorflow as tf

    names: dict[str, str] = {}
    shared: dict[tuple[float, int], str] = {}
    for row in plan.activation.values():
        node = body.nodes[row.name]
        free = node.op != "Placeholder" and node.op not in FIXED
        grid = (row.scale, row.zero_point)
        constant = shared.get(grid) if free else None
        if constant is None:
            constant = body.add_constant(f"{row.name}/scale", np.float32(row.scale))
        if free:
            names[row.name] = shared[grid] = constant
        low, high = _integers(row)

        def rounded(x: Any, scale: Any, low: int = low, high: int = high) -> Any:
            steps = x / scale
            whole = steps + tf.stop_gradient(tf.round(steps) - steps)
            return tf.clip_by_value(whole, low, high) * scale

        scalar = tf.TensorShape([])
        types = [(tf.float32, body.tensor(row.name).shape), (tf.float32, scalar)]
        (result,) = body.insert(row.name, rounded, [row.name, constant], types)
        body.redirect({(row.name, 0): result})
    return names


def _integers(row: Activation) -> tuple[int, int]:
    """Least and greatest integer, zero point taken off."""
    least = -(2 ** (row.bits - 1))
    return least - row.zero_point, -least - 1 - row.zero_point


def with_scales(plan: Plan, names: Mapping[str, str], values: Mapping[str, Array]) -> Plan:
    """The plan with the scales that training has found, `values` by the names of their constants."""

    def found(row: Activation) -> Activation:
        if row.name not in names:
            return row
        scale = float(values[names[row.name]])
        low, high = (scale * end for end in _integers(row))
        return replace(row, scale=scale, low=low, high=high)

    return replace(plan, activations=tuple(map(found, plan.activations)))
