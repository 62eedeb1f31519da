-- Noria's own tables. Applied by Warehouse.migrate(), under a lock, and harmless when applied again.
-- Data of use cases lives beside them: raw.<use case>__<source>, and what dbt makes in staging, features and labels.
create schema if not exists raw;
create schema if not exists staging;
create schema if not exists features;
create schema if not exists labels;
create schema if not exists ops;
create schema if not exists optuna;

-- What each source has brought: the coverage ledger of raw data. Grain: one stretch of event time of one source.
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

-- Reference tables (sources without an event time): what is in them, so that an unchanged source is not written again.
-- Grain: one source.
create table if not exists ops.reference_tables (
    use_case text not null,
    source text not null,
    digest text not null,
    row_count bigint not null,
    ingested_at timestamptz not null,
    primary key (use_case, source)
);

-- Intervals whose features were rebuilt and have not passed their checks since; training and scoring leave them alone.
-- Grain: one interval of one use case.
create table if not exists ops.quarantined (
    use_case text not null,
    start_at timestamptz not null,
    end_at timestamptz not null,
    primary key (use_case, start_at, end_at)
);

-- Predictions served over REST. Grain: one answered instance.
create table if not exists ops.predictions (
    id uuid primary key,
    use_case text not null,
    version text not null,
    requested_at timestamptz not null,
    entity text,
    features jsonb not null,
    score double precision not null,
    decision text not null,
    threshold double precision,
    latency_ms double precision not null,
    probabilities jsonb
);
create index if not exists predictions_by_time on ops.predictions (use_case, requested_at);

-- Batch predictions. Grain: one entity, scored by the version in force at its interval.
create table if not exists ops.batch_predictions (
    use_case text not null,
    entity text not null,
    event_time timestamptz not null,
    version text not null,
    score double precision not null,
    decision text not null,
    probabilities jsonb,
    primary key (use_case, entity)
);
create index if not exists batch_predictions_by_time on ops.batch_predictions (use_case, event_time);

-- Decisions were booleans while there was one task. Now they are texts (true or false, the name of a class, a number), the
-- probabilities of all classes stand beside them, and only a yes or no has a threshold. A table that is new already stays.
do $$
declare
    target text;
begin
    foreach target in array array['predictions', 'batch_predictions'] loop
        if exists (
            select from information_schema.columns
            where table_schema = 'ops' and table_name = target and column_name = 'decision' and data_type = 'boolean'
        ) then
            execute format('alter table ops.%I alter column decision type text using decision::text', target);
        end if;
    end loop;
end
$$;
alter table ops.predictions add column if not exists probabilities jsonb;
alter table ops.predictions alter column threshold drop not null;
alter table ops.batch_predictions add column if not exists probabilities jsonb;

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

-- Money. Grain: one interval of one use case.
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

-- E-mails that an SMTP server has accepted. Grain: one report to one list of recipients.
create table if not exists ops.deliveries (
    key text primary key,
    use_case text not null,
    message_id text not null,
    subject text not null,
    recipients text[] not null,
    delivered_at timestamptz not null
);

-- Requests to train again. Grain: one as-of date of one use case, whoever asks and how often.
create table if not exists ops.retrain_requests (
    use_case text not null,
    as_of timestamptz not null,
    reason text not null,
    run_id text not null,
    requested_at timestamptz not null,
    primary key (use_case, as_of)
);

-- Who promoted what, and why. Append-only; each row carries the hash of the one before it.
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
