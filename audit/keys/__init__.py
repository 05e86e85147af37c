"""Keys of the log: the key-encryption key, the day keys under it, the list of destroyed days, the signing key."""
