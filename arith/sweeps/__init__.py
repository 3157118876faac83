"""Many runs, one table, one figure: recipes reproduced, grids swept, results published.

May import `performance`, `training`, `evaluation`, `figures` and the rooms below.
"""
