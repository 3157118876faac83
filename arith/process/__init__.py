"""What a long command needs of the machine: atomic files, locks, signals, progress, and hints at what to type next.

May import no other room.
"""
