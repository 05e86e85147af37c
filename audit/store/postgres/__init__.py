"""The log of many gateway processes: one PostgreSQL database, a key folder that they share.

Tables of the schema ``audit`` (made by ``audit/migrations``), and who writes them::

    identity                     what the database says it is                    whoever creates the log
    seqcoord                     the next sequence number: one row               writers, held to the end of a batch
    day                          days, how far their records go, closed or not   writers; the purge closes
    scope                        classes of a day that have sealed parts         writers; the purge
    record                       envelopes and leaves, partitioned by day        writers, never changed
    reason_20261122              reasons of a day, for searching                 writers
    sealed_20261122_standard     ciphertexts and blind tokens of day and class   writers; the purge removes it
    tree, tile, checkpoint       the signed tree                                 the integrator that holds the lease
    wish                         a size that somebody waits for                  whoever needs a proof or purges
    open_ticket                  intents in the tree without an outcome          the same
    lease                        who is the integrator, with a fencing epoch     integrators

Life of a record here: a writer seals it; takes its batch's sequence numbers by updating ``seqcoord``; hashes the
leaves; copies the rows in; commits; only then wakes the callers. The row lock on ``seqcoord`` is held until the commit,
so batches commit in the order of their numbers: a number that is visible has all lower ones visible beside it, and a
gap can only be somebody's doing. The integrator reads on from the tree's size, checks that every row was written by a
holder of the day's keys, and stores leaves, root and signed checkpoint in one transaction that succeeds only if the
tree is still the one it knew and nobody has taken the lease since.

Why the sealed tables are no partitions: they all go, one by one, and some records may have to stay (holds). Replacing a
table by what is kept is one transaction here, with no lock on anything but that table; detaching a partition takes
two, leaves a half-detached one after a crash, and waits for every reader of the parent.
"""
