"""Pictures known again by their prints: PDQ fingerprints, windows of them, and the lists that are asked with both."""
