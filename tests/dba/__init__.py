"""What a database administrator can do to either store of the audit log, and what finds it: ``python -m tests.dba``.

The attacker owns every byte of the store and its backups, may stop and start everything, knows the format, and can
recompute whatever needs no key. They have neither day keys, nor the key service, nor the signing key, nor the witness.
"""
