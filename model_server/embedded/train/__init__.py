"""Train the embedded model from public emoji artwork: `python -m model_server.embedded.train --help`."""
