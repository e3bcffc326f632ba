"""What training did, for the report."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Epoch", "Trained"]


@dataclass(frozen=True)
class Epoch:
    """After one epoch: mean loss over what was learned from, and both figures over what was held out.

    `loss` is the distance from the original's scores, 0 is none (see `distillation`). `agreement` is the
    share of equal answers, None where outputs are no answers. `finished` says whether the network is
    already as sparse as asked: no earlier one can be kept.
    """

    learned: float | None
    loss: float
    agreement: float | None
    finished: bool = True


@dataclass(frozen=True)
class Trained:
    """One phase: what was asked, on what it was trained, how it went, and which epoch is kept.

    `epochs[0]` is the start: the network compressed, but not trained.
    """

    title: str
    data: str
    learned: int
    held_out: int
    labelled: bool
    trained: int  # elements of weights and biases that training changes
    learning_rate: float
    epochs: tuple[Epoch, ...]
    kept: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A sentence for people, and the notes."""
        return " ".join((self._result(), *self.notes))

    def _result(self) -> str:
        first, best = self.epochs[0], self.epochs[self.kept]
        done = len(self.epochs) - 1
        epochs = "1 epoch" if done == 1 else f"{done} epochs"
        told = f"{self.title}: {epochs} on {self.learned:,} samples"
        if self.labelled:
            told += " with labels"
        if self.kept == 0 and done:
            return (
                f"{told} made it worse (loss {first.loss:.4g} → {self.epochs[-1].loss:.4g} on "
                f"{self.held_out:,} held-out samples): the start was kept."
            )
        told += f", held out {self.held_out:,}: loss {first.loss:.4g} → {best.loss:.4g}"
        if best.agreement is not None and first.agreement is not None:
            told += f", agreement {first.agreement:.1%} → {best.agreement:.1%}"
        return f"{told}; kept epoch {self.kept}."
