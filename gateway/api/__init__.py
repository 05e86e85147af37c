"""Thin HTTP. Routes read a request, call one thing, and write what came of it."""
