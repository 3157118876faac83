"""The parts of a report, one file each.

May import `report`, and what `report` may.
"""
