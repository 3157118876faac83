"""arith's encodings in the place of a Hugging Face model's own.

May import what `hf` may.
"""
