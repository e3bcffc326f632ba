"""Core ML evaluator against Apple's own op tests.

coremltools ships its tests of MIL ops, with the outputs that Core ML must give, in its wheel. On a Mac
they compare Core ML with these; here a pytest plugin puts our evaluator in Core ML's place. Nothing of
the tests is copied: they run from the installed package.

    python bench/coreml_conformance.py [--cap 12] [--seed 0] [-k expression] [--output FILE.md]

Tells, for each op kind, how many comparisons were attempted and passed, then every failing case with its
reason. A comparison is refused if the evaluator says by name that it does not implement something. Op
kinds of the TensorFlow route are those that coremltools' TensorFlow frontend or its passes build.

Exits with 1 if fewer than 95 % of the comparisons on these pass, or one fails that nobody has explained.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import logging
import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TQDM_DISABLE"] = "1"
os.environ["PYMIL_TEST_TARGETS"] = "mlprogram"
os.environ["INCLUDE_MIL_FP32_UNIT_TESTS"] = "1"


LEAST = 0.95  # of the comparisons on op kinds of the TensorFlow route

# Tests that want Core ML to fail, on indices that point nowhere: they have no golden outputs.
WANT_FAILURE = "invalid_indices"

# Why a comparison may fail: what its test is called, what the evaluator says, and the reason.
EXPLAINED = (
    (
        "TestRandom",
        "op random_",
        "MIL does not say what its generators draw: these programs have no answer but Core ML's own.",
    ),
    (
        "TestElementwiseBinary::test_real_div_int",
        "division of integers",
        "MIL does not say which way a quotient of integers is rounded.",
    ),
    (
        "TestNormalizationLocalResponseNorm",
        "op local_response_norm",
        "A window of two channels of [channels, height, width]: MIL does not say which side an even one "
        "leans to, and its documentation has the channels second.",
    ),
    (
        "TestMatMul::test_ios17_mixed_precision",
        "real numbers where the result is of integers",
        "A product of an integer and a real matrix whose result is declared to be integers: MIL does "
        "not say where it is rounded. coremltools' frontends do not build it.",
    ),
    (
        "TestCropResize",
        "parameter sampling_mode",
        "How boxes are sampled is not documented but for corners that align, which is what TensorFlow's "
        "frontend asks for. The golden values are of a box that lies outside of the picture.",
    ),
    (
        "TestCropResize",
        "by up to 0.001",
        "The golden value 7.899 is 1 + 4 · 1.5 + 0.9 = 7.9, cut after three digits.",
    ),
)


@dataclasses.dataclass
class Case:
    """One comparison of the evaluator's outputs with the golden ones."""

    test: str
    kinds: tuple[str, ...]
    verdict: str  # passed, differs, refused, error
    reason: str = ""

    @property
    def explanation(self) -> str:
        """Why it may fail; empty if nobody knows."""
        found = (why for test, said, why in EXPLAINED if test in self.test and said in self.reason)
        return next(found, "")


class Plugin:
    """Replaces Core ML by the evaluator, selects tests, and keeps the verdicts."""

    def __init__(self, cap: int, seed: int) -> None:
        self.cases: list[Case] = []
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.broken: dict[str, str] = {}
        self._cap = cap
        self._seed = seed
        self._test = ""

    def pytest_configure(self, config: Any) -> None:
        """Swap the comparison in the two modules that hold a reference to it."""
        import coremltools.converters.mil.mil.ops.tests.testing_utils as for_ops
        import coremltools.converters.mil.testing_utils as general

        for module in (general, for_ops):
            module.compare_backend = self.compare  # type: ignore[attr-defined]
        logging.getLogger("coremltools").setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """ML Programs in float32 on the CPU; of each test function at most `cap` cases, at random."""
        import coremltools as ct

        chosen, count = [], collections.Counter[str]()
        random.Random(self._seed).shuffle(items)
        for item in items:
            parameters = getattr(getattr(item, "callspec", None), "params", {})
            backend, unit = parameters.get("backend"), parameters.get("compute_unit")
            if isinstance(backend, tuple):
                kind = backend[:2]
            else:
                kind = (getattr(backend, "backend", ""), getattr(backend, "precision", ""))
            if kind not in (("mlprogram", "fp32"), ("", "")):
                continue
            if unit not in (None, ct.ComputeUnit.CPU_ONLY):
                continue
            name = item.nodeid.split("[")[0]
            if WANT_FAILURE in name:
                continue
            count[name] += 1
            if count[name] <= self._cap:
                chosen.append(item)
        items[:] = sorted(chosen, key=lambda item: str(item.nodeid))

    def pytest_runtest_setup(self, item: Any) -> None:
        """Remember which test is running."""
        self._test = item.nodeid.split("tests/", 1)[-1]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count outcomes, and keep what failed before any comparison."""
        if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
            self.outcomes[report.outcome] += 1
            compared = any(case.test == self._test for case in self.cases)
            if report.outcome == "failed" and not compared:
                lines = str(report.longrepr).strip().splitlines()
                self.broken[self._test] = lines[-1][:160] if lines else ""

    def compare(
        self,
        mlmodel: Any,
        input_key_values: dict[str, Any],
        expected_outputs: dict[str, Any] | None,
        dtype: str = "fp32",
        atol: float = 1e-4,
        rtol: float = 1e-5,
        also_compare_shapes: bool = True,
        state: Any = None,
        allow_mismatch_ratio: float = 0.0,
    ) -> Any:
        """What coremltools calls after each conversion, in place of its own comparison."""
        import numpy as np
        import pytest

        if not mlmodel.is_package:
            pytest.skip("not an ML Program")
        if not expected_outputs:
            pytest.skip("no golden outputs")
        if state is not None:
            pytest.skip("a model with state")
        from mlc.errors import UnverifiableError
        from mlc.targets.coreml import evaluator
        from mlc.targets.coreml.evaluator.program import load

        path = Path(mlmodel.package_path)
        ops = list(load(path).block.walk())
        kinds = tuple(sorted({op.kind for op in ops}))
        values = [v for op in ops for group in op.parameters.values() for v in group]
        if any(v.type.dtype == "float16" for v in values):  # golden numbers know of no float16
            atol, rtol = max(atol, 2e-3), max(rtol, 2e-3)
        try:
            with np.errstate(all="ignore"):
                # The golden numbers are float64 or float32 arithmetic, also of float16 programs.
                found = evaluator.open(path, "float32").run(
                    {name: np.asarray(value) for name, value in input_key_values.items()}
                )
        except UnverifiableError as error:
            self.cases.append(Case(self._test, kinds, "refused", error.message))
            raise
        except Exception as error:
            self.cases.append(Case(self._test, kinds, "error", f"{type(error).__name__}: {error}"))
            raise
        reason = _difference(found, expected_outputs, atol, rtol, allow_mismatch_ratio)
        self.cases.append(Case(self._test, kinds, "differs" if reason else "passed", reason))
        assert not reason, reason
        return found


def _difference(
    found: dict[str, Any], expected: dict[str, Any], atol: float, rtol: float, ratio: float
) -> str:
    """Why the outputs are not the golden ones; empty if they are."""
    import numpy as np

    for (name, array), golden in zip(found.items(), expected.values(), strict=False):
        wanted = np.asarray(golden)
        shape = array.shape
        if shape != wanted.shape and not (wanted.size == 1 and array.size == 1):
            return f"{name}: shape {shape}, golden {wanted.shape}"
        a, b = array.reshape(wanted.shape).astype(np.float64), wanted.astype(np.float64)
        if wanted.dtype == np.float16:  # the golden number itself is rounded to 11 bits
            rtol, atol = max(rtol, 1e-3), max(atol, 1e-3)
        wrong = ~np.isclose(a, b, atol=atol, rtol=rtol, equal_nan=True)
        if wrong.size and wrong.mean() > ratio:
            worst = float(np.nanmax(np.abs(a - b)))
            return f"{name}: {wrong.mean():.0%} of elements differ, by up to {worst:.2g}"
    return ""


def tensorflow_kinds() -> set[str]:
    """MIL ops that the sources of coremltools' TensorFlow frontend and of its passes build."""
    import re

    import coremltools.converters.mil as mil
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    root = Path(next(iter(mil.__path__)))
    files = [*root.glob("frontend/tensorflow*/**/*.py"), *root.glob("mil/passes/defs/**/*.py")]
    built = {
        kind
        for file in files
        if "test" not in file.name
        for kind in re.findall(r"\bmb\.([a-z0-9_]+)\b", file.read_text(encoding="utf-8"))
    }
    return built & set(SSAOpRegistry.core_ops)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cap", type=int, default=12, help="cases per test function")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-k", default="", help="pytest's selection")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    import coremltools.converters.mil.mil.ops.tests as tests
    import pytest

    plugin = Plugin(arguments.cap, arguments.seed)
    folder = str(Path(next(iter(tests.__path__))))
    options = ["-q", "--tb=line", "-p", "no:cacheprovider", "--import-mode=importlib"]
    options.append("--continue-on-collection-errors")  # some modules want PyTorch
    with open(os.environ.get("PYTEST_OUT", os.devnull), "w") as nowhere:
        out, sys.stdout = sys.stdout, nowhere
        try:
            selection = ["-k", arguments.k] if arguments.k else []
            pytest.main([folder, "--rootdir", folder, *options, *selection], plugins=[plugin])
        finally:
            sys.stdout = out
    route, share = on_route(plugin.cases)
    text = "\n".join(described(plugin, arguments, route, share))
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    unexplained = [c for c in plugin.cases if c.verdict != "passed" and not c.explanation]
    return 0 if share >= LEAST and not unexplained else 1


def on_route(cases: list[Case]) -> tuple[list[Case], float]:
    """The comparisons of programs that TensorFlow's frontend could have built, and how many pass."""
    known = tensorflow_kinds()
    route = [case for case in cases if set(case.kinds) <= known]
    return route, sum(case.verdict == "passed" for case in route) / max(1, len(route))


def described(
    plugin: Plugin, arguments: argparse.Namespace, route: list[Case], share: float
) -> list[str]:
    """The page."""
    from mlc.store import tools

    verdicts = collections.Counter(case.verdict for case in plugin.cases)
    total = len(plugin.cases)
    right = sum(case.verdict == "passed" for case in route)
    lines = [
        "# The evaluator against Apple's own op tests",
        "",
        "Made by `python bench/coreml_conformance.py --output docs/coreml_conformance.md`: the tests "
        f"inside of the installed coremltools {tools()['coremltools']} run with mlc's evaluator in Core "
        f"ML's place (onnxruntime {tools()['onnxruntime']}, numpy {tools()['numpy']}), at most "
        f"{arguments.cap} cases of each test function, chosen with seed {arguments.seed}; ML Programs in "
        "float32.",
        "",
        f"- **Op kinds of the TensorFlow route: {right} of {len(route)} comparisons pass, {share:.1%}.**",
        f"- All op kinds: {verdicts['passed']} of {total}, {verdicts['passed'] / max(1, total):.1%}.",
        "- Refused: the evaluator says by name what it does not implement, so the report says "
        "*not verified*.",
        f"- Left out: tests called `{WANT_FAILURE}`, which want Core ML to fail.",
        "",
        "## What does not pass, and why",
        "",
        "| comparisons | test | what the evaluator says | why |",
        "|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str, str], int] = collections.Counter()
    for case in plugin.cases:
        if case.verdict != "passed":
            said = case.reason.split(": ", 1)[-1][:150]
            why = case.explanation or "**not explained**"
            groups[case.test.split("[")[0], case.verdict, said, why] += 1
    lines += [
        f"| {n} {verdict} | {test} | {said} | {why} |"
        for (test, verdict, said, why), n in sorted(groups.items())
    ]
    broken = collections.Counter(
        (test.split("[")[0], reason.removeprefix("E").strip())
        for test, reason in plugin.broken.items()
    )
    lines += [
        "",
        "Tests that end before any comparison:",
        "",
        "| cases | test | reason |",
        "|---|---|---|",
    ]
    lines += [f"| {n} | {test} | {reason} |" for (test, reason), n in sorted(broken.items())]
    lines += [
        "",
        "## By op kind",
        "",
        "Every op of a program counts once for each comparison.",
        "",
        "| op kind | TensorFlow route | passed | differs | refused | error |",
        "|---|---|---|---|---|---|",
    ]
    by_kind: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for case in plugin.cases:
        for kind in case.kinds:
            by_kind[kind][case.verdict] += 1
    known = tensorflow_kinds()
    for kind, counts in sorted(by_kind.items()):
        numbers = " | ".join(
            str(counts[v] or "") for v in ("passed", "differs", "refused", "error")
        )
        lines.append(f"| {kind} | {'yes' if kind in known else ''} | {numbers} |")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
