"""What a run will cost before it is begun, and how fast this machine trains.

May import `training`, `evaluation`, `figures` and the rooms below.
"""
