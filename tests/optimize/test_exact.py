"""Scales that float16 and float32 hold alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlc.optimize.exact import exact


@given(st.floats(2**-14, 65504, width=32))
def test_float16_holds_it_and_it_is_the_nearest(value: float) -> None:
    found = exact(np.array(value, np.float32))
    assert np.float32(np.float16(found)) == found
    assert found == np.float32(np.float16(value))


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_it_is_near_whatever_the_size(value: float) -> None:
    wide = np.float32(value)
    assert abs(float(exact(np.array(wide))) - float(wide)) <= abs(float(wide)) * 2**-11 + 1e-44
