"""First tables.

Tables that exist are kept: a release before numbered migrations made some of them.
"""

from alembic import op

revision = "0001"
down_revision = None

SQL = """
-- Data of use cases: raw.<use case>__<source>, and the tables that dbt builds in staging, features and labels.
create schema if not exists raw;
create schema if not exists staging;
create schema if not exists features;
create schema if not exists labels;
create schema if not exists ops;
create schema if not exists optuna;

-- Coverage of raw data: stretches of event time that are ingested. Grain: one stretch of one source.
create table if not exists ops.ingested (
    use_case text not null,
    source text not null,
    start_at timestamptz not null,
    end_at timestamptz not null,
    row_count bigint not null,
    ingested_at timestamptz not null,
    primary key (use_case, source, start_at),
    check (end_at > start_at)
);

-- Content of reference tables (sources without an event time), so that an unchanged source is not written again.
-- Grain: one source.
create table if not exists ops.reference_tables (
    use_case text not null,
    source text not null,
    digest text not null,
    row_count bigint not null,
    ingested_at timestamptz not null,
    primary key (use_case, source)
);

-- Intervals whose features were rebuilt and have not passed their checks since. Training and scoring refuse them.
-- Grain: one interval of one use case.
create table if not exists ops.quarantined (
    use_case text not null,
    start_at timestamptz not null,
    end_at timestamptz not null,
    primary key (use_case, start_at, end_at)
);

-- Predictions served over REST. Grain: one instance.
create table if not exists ops.predictions (
    id uuid primary key,
    use_case text not null,
    version text not null,
    requested_at timestamptz not null,
    entity text,
    features jsonb not null,
    score double precision not null,
    decision boolean not null,
    threshold double precision not null,
    latency_ms double precision not null
);
create index if not exists predictions_by_time on ops.predictions (use_case, requested_at);

-- Batch predictions. Grain: one entity, scored by the version in force at its interval.
create table if not exists ops.batch_predictions (
    use_case text not null,
    entity text not null,
    event_time timestamptz not null,
    version text not null,
    score double precision not null,
    decision boolean not null,
    primary key (use_case, entity)
);
create index if not exists batch_predictions_by_time on ops.batch_predictions (use_case, event_time);

-- Verdicts of monitoring. Grain: one interval of one use case.
create table if not exists ops.verdicts (
    use_case text not null,
    start_at timestamptz not null,
    end_at timestamptz not null,
    version text not null,
    verdict text not null,
    details jsonb not null,
    report text not null,
    judged_at timestamptz not null,
    primary key (use_case, start_at)
);

-- Value and cost of decisions. Grain: one interval of one use case.
create table if not exists ops.ledger (
    use_case text not null,
    start_at timestamptz not null,
    end_at timestamptz not null,
    version text not null,
    decisions bigint not null,
    labelled bigint not null,
    value double precision not null,
    baseline_value double precision not null,
    cost double precision not null,
    currency text not null,
    primary key (use_case, start_at)
);

-- E-mails that an SMTP server accepted. Grain: one report to one list of recipients.
create table if not exists ops.deliveries (
    key text primary key,
    use_case text not null,
    message_id text not null,
    subject text not null,
    recipients text[] not null,
    delivered_at timestamptz not null
);

-- Requests to retrain. Grain: one as-of date of one use case.
create table if not exists ops.retrain_requests (
    use_case text not null,
    as_of timestamptz not null,
    reason text not null,
    run_id text not null,
    requested_at timestamptz not null,
    primary key (use_case, as_of)
);

-- Audit trail of promotions. Append-only; each row has the hash of the row before it. Grain: one event.
create table if not exists ops.audit (
    sequence bigint primary key,
    at timestamptz not null,
    use_case text not null,
    action text not null,
    version text not null,
    previous text not null,
    as_of timestamptz,
    actor text not null,
    reason text not null,
    evidence jsonb not null,
    previous_hash text not null,
    hash text not null
);
create or replace function ops.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'ops.audit is append-only';
end
$$;
create or replace trigger audit_is_append_only before update or delete on ops.audit
for each row execute function ops.refuse_change();
"""


def upgrade() -> None:
    """Apply the SQL, in the transaction of this migration."""
    op.execute(SQL)
