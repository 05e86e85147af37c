"""The detectors' rule files: what they may say, how they are loaded, tested and exchanged while the gateway runs."""
