"""Command-line programs, one module each; ``simclr PROGRAM`` calls its ``main``."""
