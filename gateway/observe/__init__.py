"""Logs, metrics and timings. None of them ever holds a prompt, a token, a key or the text that was found."""
