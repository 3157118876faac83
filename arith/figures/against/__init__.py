"""Figures whose axis is not digits: leads against scale, reach against loops.

May import what `figures` may.
"""
