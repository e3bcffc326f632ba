"""How long `mlc` takes to answer: CPU seconds, user and system, of --help, build --help and --version.

python bench/startup.py [--rounds 10]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    print(
        f"{platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    for arguments in (["--help"], ["build", "--help"], ["--version"]):
        times = [cpu([sys.executable, "-m", "mlc", *arguments]) for _ in range(rounds)]
        print(
            f"mlc {' '.join(arguments):14} median {statistics.median(times):.2f} s of CPU "
            f"({min(times):.2f}–{max(times):.2f}, n = {rounds})"
        )


def cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
