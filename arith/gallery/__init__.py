"""What each encoding does, computed from its code and drawn.

May import `process`, `catalogue`, `figures`, `data`, and the three folders.
"""
