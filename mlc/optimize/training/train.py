"""The stage that trains: one phase of compression, from a network to a network."""

from __future__ import annotations

from pathlib import Path

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.plan import Plan
from mlc.optimize.training.checkpoint import forget_checkpoint
from mlc.optimize.training.examples import open_examples
from mlc.optimize.training.fit import Course, fit
from mlc.optimize.training.record import Trained
from mlc.optimize.training.scores import scores
from mlc.optimize.training.student import Phase
from mlc.optimize.training.teacher import teacher
from mlc.optimize.training.thaw import Thawed, freeze

__all__ = ["train"]


def train(
    folder: Path,
    network: Network,
    original: Network,
    phase: Phase,
    epochs: int,
    samples: Path,
    data: str,
) -> tuple[Trained, Plan | None]:
    """A stage: compress a simplified network and train it to answer as `original` does.

    `samples` is the folder that `collect` wrote of them and of the original's answers, `data` what they
    are called in the report. The network goes to `folder`, where an interrupted run goes on too.
    Returns what was done, and the plan where the phase trained for one.
    """
    examples = open_examples(samples, original)
    student = phase.begin(network, examples)
    shown = student.run_as or student.network
    references = [score.reference for score in scores(shown)]
    course = Course(
        teacher(shown, original),
        epochs,
        phase.learning_rate,
        phase.labels,
        student.before_step,
        student.finished,
    )
    fitted = fit(
        Thawed(shown, student.parameters, references),
        student.parameters,
        examples,
        course,
        folder,
    )
    constants = Program.of(student.network).main.nodes
    result = freeze(student.network, {n: v for n, v in fitted.values.items() if n in constants})
    forget_checkpoint(folder)  # the result is all that is kept
    result.save(folder)
    record = Trained(
        title=phase.title,
        data=data,
        learned=len(examples.learned),
        held_out=len(examples.held_out),
        labelled=examples.labels is not None and phase.labels > 0,
        trained=sum(array.size for array in fitted.values.values()),
        learning_rate=phase.learning_rate,
        epochs=fitted.epochs,
        kept=fitted.kept,
        notes=student.notes,
    )
    return record, student.planned(result, fitted.values) if student.planned else None
