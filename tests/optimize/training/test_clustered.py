"""Clusters: few values, near what they stand for, moved together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlc.optimize.training.clustered import Clustered, cluster

weights = arrays.arrays(np.float32, st.integers(1, 200), elements=st.floats(-4, 4, width=32))


@given(weights, st.integers(2, 16), st.booleans())
def test_few_values_and_zeros_stay(values, count: int, keep: bool) -> None:  # type: ignore[no-untyped-def]
    found = cluster(values, count, keep)
    assert len(np.unique(found)) <= count
    rounding = 2.0**-11 * np.abs(values).max() + 1e-6  # values of a table have 11 significant bits
    assert found.min() >= values.min() - rounding
    assert found.max() <= values.max() + rounding
    if keep:
        assert (found[values == 0] == 0).all()


@given(weights, st.integers(2, 16))
def test_clustering_twice_is_clustering_once(values, count: int) -> None:  # type: ignore[no-untyped-def]
    once = cluster(values, count)
    np.testing.assert_allclose(cluster(once, count), once, atol=1e-6)


def test_it_is_as_good_as_scikit_learn() -> None:
    from sklearn.cluster import KMeans

    values = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    ours = ((cluster(values, 16) - values) ** 2).sum()
    theirs = KMeans(16, n_init=4, random_state=0).fit(values[:, None]).inertia_
    assert ours < 1.05 * theirs


def test_a_centroid_gets_the_gradients_of_its_members() -> None:
    import tensorflow as tf

    values = np.float32([[1, 1, 0, 2], [2, 2, 1, 0]])
    for keep in (False, True):
        clustered = Clustered(values, keep_zeros=keep)
        np.testing.assert_array_equal(clustered.frozen(), values)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(clustered.tensor())
        slope = np.asarray(tape.gradient(loss, clustered.trained)[0])
        np.testing.assert_allclose(slope / slope[1], [0 if keep else 2 / 3, 1, 1])
        clustered.trained[0].assign_add([0.5, 0.5, 0.5])
        assert len(np.unique(clustered.frozen())) == 3
        assert (clustered.frozen()[values == 0] == 0).all() == keep
