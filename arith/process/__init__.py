"""What a long command owes the machine: whole files, locks, signals, progress, and hints at what to type next.

May import no other room.
"""
