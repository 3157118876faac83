"""The same tests for any model that reads text: prompts, and how replies are scored.

May import what `evaluation` may.
"""
