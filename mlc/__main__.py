"""`python -m mlc`: the command line."""

from mlc.cli import main

main()
