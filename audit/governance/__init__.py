"""Who may look, what must be kept, what must go: cases, holds, erasure and subject access.

``facade.Governance`` bundles them. Modules are imported where they are used: those that need a database (SQLAlchemy)
stay unloaded in programs that only read or verify a log.

==================  =========================================================================================
``officer``         a person who decides, with the age of their second factor
``cases``           permission to open content: purpose, scope, expiry, two people
``holds``           what retention and erasure must leave alone; ``escrow`` keeps its keys past the day's own
``erasure``         GDPR Art. 17; ``coverage`` lets anybody check afterwards that what is missing was erased
``subject_access``  GDPR Art. 15 and 20
``ledger``          the tables all of these live in: each row authenticated, its free text sealed
==================  =========================================================================================
"""
