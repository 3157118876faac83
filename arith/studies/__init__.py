"""Small experiments that train no transformer: a frozen dataclass of settings each, which runs a seed and draws itself.

A recipe names one as `study`; `arith.catalogue.entries.STUDIES` has their names. What needs more than two pages of code
is no study. May import `process`, `results`, `config`, `figures`.
"""
