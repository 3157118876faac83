"""Figures whose axis is not digits: leads against scale, reach against loops, measures against numbers.

May import what `figures` may.
"""
