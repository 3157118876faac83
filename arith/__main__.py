"""`python -m arith`, also under torchrun."""

from arith.cli import main

if __name__ == "__main__":
    main()
