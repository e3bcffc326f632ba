"""Leave out of coremltools' work what only serves its developers: a third of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["lean"]


@contextmanager
def lean(graph_def: Any) -> Iterator[Any]:
    """Yield what to hand to `coremltools.convert` in the place of `graph_def`.

    1. coremltools 9.0 prints the whole graph, weights included, into a log line that nobody reads. It
       is handed an empty one, and gets the real one where it goes to work.
    2. It checks its own invariants over the whole program after each of a hundred passes. What they
       guard is checked by running the result. The last check, of the finished program, stays.
    3. It looks at every value again, after each step of each pass, for compressed weights above it. There
       are none before weights are compressed, which comes later.
    """
    import tensorflow as tf
    from coremltools.converters.mil.frontend.tensorflow2.load import TF2Loader
    from coremltools.converters.mil.mil.block import Block
    from coremltools.converters.mil.mil.program import Program

    load, validate = TF2Loader._graph_def_from_model, Program.validate
    propagate = Block._propagate_nonreplaceable_vars

    def given(self: Any, output_names: Any = None) -> Any:
        return graph_def

    def validate_last(self: Any, check_essential_scope: bool = False) -> None:
        if check_essential_scope:
            validate(self, check_essential_scope)

    TF2Loader._graph_def_from_model, Program.validate = given, validate_last
    Block._propagate_nonreplaceable_vars = lambda self: None
    try:
        yield tf.compat.v1.GraphDef()
    finally:
        TF2Loader._graph_def_from_model, Program.validate = load, validate
        Block._propagate_nonreplaceable_vars = propagate
