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

-- Who answered whom over REST: champion, challenger, shadow (never told to anybody, so no part of what was decided) or rule;
-- the API key's name; the request; the bundle. Null in rows of an older Noria.
alter table ops.predictions add column if not exists alias text;
alter table ops.predictions add column if not exists caller text;
alter table ops.predictions add column if not exists request_id text;
alter table ops.predictions add column if not exists digest text;
-- What one version has answered since an instant: rollouts ask again and again, and a new version has few rows among many.
create index if not exists predictions_by_version on ops.predictions (use_case, version, requested_at);
create index if not exists predictions_by_entity on ops.predictions (use_case, entity) where entity is not null;

-- What apps said came true. Append-only. Grain: one statement about one prediction, or about one entity.
create table if not exists ops.feedback (
    id uuid primary key,
    use_case text not null,
    prediction_id uuid,
    entity text,
    event_time timestamptz,
    label text not null,
    at timestamptz not null,
    received_at timestamptz not null,
    caller text,
    request_id text,
    check (num_nonnulls(prediction_id, entity) = 1)
);
create index if not exists feedback_by_entity on ops.feedback (use_case, entity) where entity is not null;
create index if not exists feedback_by_prediction on ops.feedback (prediction_id) where prediction_id is not null;

-- What counts of it: the statement with the latest `at` (then the latest received), and how many said something else.
-- A statement about a prediction is one about that prediction's entity, where it has one; it is unmatched until the prediction
-- is there. Grain: one entity and event time as stated, or one prediction without an entity.
create or replace view ops.current_feedback as
with said as (
    select
        f.id, f.use_case, f.prediction_id, coalesce(f.entity, p.entity) as entity, f.event_time, f.label, f.at, f.received_at,
        f.caller,
        case when coalesce(f.entity, p.entity) is null then f.prediction_id end as lone_prediction,
        case
            when f.prediction_id is not null then p.id is not null
            else exists (
                select from ops.batch_predictions as b where b.use_case = f.use_case and b.entity = f.entity
            ) or exists (
                select from ops.predictions as r where r.use_case = f.use_case and r.entity = f.entity
            )
        end as matched
    from ops.feedback as f
    left join ops.predictions as p on p.id = f.prediction_id and p.use_case = f.use_case
),
ranked as (
    select *, row_number() over latest_first as recency, first_value(label) over latest_first as current_label
    from said
    window latest_first as (
        partition by use_case, entity, event_time, lone_prediction order by at desc, received_at desc, id desc
    )
),
counted as (
    select
        *,
        count(*) over target as statements,
        count(*) filter (where label <> current_label) over target as conflicts
    from ranked
    window target as (partition by use_case, entity, event_time, lone_prediction)
)
select
    use_case, entity, event_time, prediction_id, label, at, received_at, caller, id as feedback_id,
    case when matched then 'matched' else 'unmatched' end as status, statements, conflicts
from counted
where recency = 1;

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

-- Keys of those who may ask serving. Grain: one key; a name belongs to one key that was not revoked.
create table if not exists ops.api_keys (
    id text primary key check (id ~ '^[A-Za-z0-9]{12}$'),
    name text not null,
    use_cases text[],
    scopes text[] not null check (cardinality(scopes) > 0),
    per_minute integer check (per_minute > 0),
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    rotated_at timestamptz,
    last_used_at timestamptz
);
create unique index if not exists api_keys_by_name on ops.api_keys (name) where revoked_at is null;

-- What is kept of the keys' secrets: their SHA-256, and until when those that were replaced are still let in.
-- Grain: one secret of one key.
create table if not exists ops.api_key_secrets (
    digest text primary key check (digest ~ '^[0-9a-f]{64}$'),
    key_id text not null references ops.api_keys,
    made_at timestamptz not null,
    valid_until timestamptz
);
create index if not exists api_key_secrets_by_key on ops.api_key_secrets (key_id);
