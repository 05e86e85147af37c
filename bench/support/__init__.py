"""What the tables share: programs to measure, load to put on them, a place for results."""
