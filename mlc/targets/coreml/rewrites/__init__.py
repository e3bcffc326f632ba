"""GraphDef → GraphDef: what stock coremltools refuses or gets wrong, said in ops that it knows.

One rewrite per file. Each finds its own pattern, in the main graph and in the bodies of loops and
branches, and leaves alone what does not fulfil its precondition: the converter then refuses it by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.targets.coreml.interface import Interface
from mlc.targets.coreml.rewrites.argmax_of_bits import argmax_of_bits
from mlc.targets.coreml.rewrites.cast_to_bool import cast_to_bool
from mlc.targets.coreml.rewrites.channel_std import channel_std
from mlc.targets.coreml.rewrites.constant_pieces import constant_pieces
from mlc.targets.coreml.rewrites.core_ml_types import core_ml_types
from mlc.targets.coreml.rewrites.divide_no_nan import divide_no_nan
from mlc.targets.coreml.rewrites.erfc import erfc
from mlc.targets.coreml.rewrites.expm1 import expm1
from mlc.targets.coreml.rewrites.finite_masks import finite_masks
from mlc.targets.coreml.rewrites.inline_calls import inline_calls
from mlc.targets.coreml.rewrites.loop_counters import loop_counters
from mlc.targets.coreml.rewrites.native_lstm import native_lstm
from mlc.targets.coreml.rewrites.pad_symmetric import pad_symmetric
from mlc.targets.coreml.rewrites.request import Request
from mlc.targets.coreml.rewrites.resize_by_matrix import resize_by_matrix
from mlc.targets.coreml.rewrites.resize_nearest import resize_nearest
from mlc.targets.coreml.rewrites.roll import roll
from mlc.targets.coreml.rewrites.two_classes import two_classes

__all__ = ["PIPELINE", "apply", "rewritten"]

PIPELINE: tuple[Callable[[Program, Request], None], ...] = (
    # Calls first: what they hide is then seen by everything below.
    inline_calls,
    # The interface: types that Core ML has, what its preprocessing and classifiers lack.
    core_ml_types,
    channel_std,
    two_classes,
    # Ops that coremltools does not know, or not with these inputs.
    constant_pieces,
    argmax_of_bits,
    erfc,
    expm1,
    roll,
    resize_by_matrix,
    # Ops that it silently gets wrong.
    resize_nearest,
    pad_symmetric,
    divide_no_nan,
    finite_masks,
    # Types: after the rewrites that bring casts of their own.
    cast_to_bool,
    # Recurrences that Core ML has an op for; what is left of loops comes last, so that no rewrite above
    # needs to know how coremltools wants their variables.
    native_lstm,
    loop_counters,
)


def rewritten(network: Network, interface: Interface, half: bool) -> tuple[Any, list[str]]:
    """The network's graph after all rewrites, and notes for the user."""
    program = Program.of(network)
    request = Request(network, interface, half)
    for rewrite in PIPELINE:
        rewrite(program, request)
    return program.graph_def(), request.notes


def apply(network: Network, interface: Interface, half: bool) -> tuple[Any, list[str]]:
    """`rewritten`, made ready for coremltools: shapes on every node, functions where it looks."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    graph_def, notes = rewritten(network, interface, half)
    # coremltools looks functions up in the eager context, not in the graph's library. Their names are
    # digests of their contents, so one that is there already is the same.
    for function in graph_def.library.function:
        if not context.context().has_function(function.signature.name):
            context.context().add_function_def(function)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    return graph.as_graph_def(add_shapes=True), notes
