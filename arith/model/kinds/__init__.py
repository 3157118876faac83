"""Kinds of the transformer with an answer, a loss or weights of their own.

`looped` revises a whole answer loop by loop, `in_place` reads values in their places of a line, `summing` learns
running sums beside answers, `pretrained` is a model of Hugging Face. May import what `model` may.
"""
