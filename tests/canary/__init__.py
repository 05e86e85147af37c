"""Secrets of our own are sent through every way into the gateway, and then looked for everywhere it leaves something.

`python -m tests.canary` prints what was sent, where it was looked for and what was found.
"""
