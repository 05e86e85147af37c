"""The store's tables, on PostgreSQL only: beside a SQLite store the records are in day files.

See ``audit/store/postgres/__init__.py`` for what each table is. Tables of single days are made by the running log
(``audit/store/postgres/tables.py``); going down drops them, with every record in them.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Rows that are updated in place for ever (seqcoord, day, tree, wish, lease) get pages with room for their next version.
_UP = """
create table audit.identity (
    one boolean primary key default true check (one),
    format integer not null, origin text not null, vkey text not null, created_at timestamptz not null
);
create table audit.seqcoord (one boolean primary key default true check (one), next bigint not null)
    with (fillfactor = 10);
insert into audit.seqcoord (next) values (0);
create table audit.day (
    day text collate "C" primary key,
    end_seq bigint not null default 0,
    generation integer not null default 0,
    is_closed boolean not null default false
) with (fillfactor = 50);
create table audit.scope (
    day text collate "C" not null, class_ text collate "C" not null,
    purged_at timestamptz, is_dropped boolean not null default false,
    primary key (day, class_)
);
create table audit.record (
    seq bigint not null,
    head_seq bigint not null,
    event_id bytea not null,
    phase text collate "C" not null,
    tenant text collate "C" not null,
    day text collate "C" not null,
    class_ text collate "C" not null,
    recorded_at bigint not null,
    action text collate "C" not null,
    effect text collate "C" not null,
    reasons text collate "C" not null,
    about text collate "C" not null,
    bundle_revision text collate "C" not null,
    model text collate "C" not null,
    model_digest text collate "C" not null,
    credits bigint not null,
    latency_bucket_ms integer,
    schema integer not null,
    key_id text collate "C" not null,
    node text collate "C" not null,
    boot text collate "C" not null,
    counter bigint not null,
    envelope_salt bytea not null,
    subject_digest bytea not null,
    content_digest bytea not null,
    index_commitment bytea not null,
    leaf bytea not null
) partition by list (day);
create table audit.tree (
    one boolean primary key default true check (one),
    size bigint not null, root bytea not null, epoch bigint not null, stopped text,
    minimum_index bigint not null default 0
) with (fillfactor = 10);
insert into audit.tree (size, root, epoch) values (0, sha256(''), 0);
create table audit.wish (one boolean primary key default true check (one), size bigint not null)
    with (fillfactor = 10);
insert into audit.wish (size) values (0);
create table audit.tile (
    level integer not null, position bigint not null, hashes bytea not null, primary key (level, position)
);
alter table audit.tile alter hashes set storage external;
create table audit.checkpoint (
    size bigint primary key, root bytea not null, signature bytea not null, signed_at bigint not null
);
create table audit.open_ticket (
    seq bigint primary key, event_id bytea not null, opened_at bigint not null,
    tenant text not null, class_ text not null, action text not null
);
create table audit.lease (
    name text primary key, holder text not null, epoch bigint not null, expires_at timestamptz not null
) with (fillfactor = 10)
"""

_DOWN = """
do $$
declare found record;
begin
    for found in
        select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'audit' and c.relkind = 'r' and c.relname ~ '^(sealed|reason)_[0-9]{8}'
    loop
        execute format('drop table audit.%I', found.relname);
    end loop;
end $$;
drop table audit.record, audit.identity, audit.seqcoord, audit.day, audit.scope, audit.tree, audit.wish, audit.tile,
    audit.checkpoint, audit.open_ticket, audit.lease
"""


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _run(_UP)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _run(_DOWN)


def _run(statements: str) -> None:
    # As the driver's own cursor: several statements in one go, and no colon or percent sign is taken for a parameter.
    cursor = op.get_bind().connection.cursor()
    try:
        cursor.execute(statements)
    finally:
        cursor.close()
