"""Right or wrong, and why: exact match, answers to single problems, error classes, perturbations.

May import `experiment` and the rooms below it; never `training`.
"""
