"""The numbers in what a model reads: which tokens hold digits, where answers begin, and the position ids they get.

May import what `hf` may.
"""
