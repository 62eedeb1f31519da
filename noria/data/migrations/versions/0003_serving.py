"""Callers, feedback and API keys of serving."""

from alembic import op

revision = "0003"
down_revision = "0002"

SQL = """
-- alias: champion, challenger, shadow (an answer that no app received) or rule. caller: name of the API key.
-- digest: of the bundle. All four are null in rows of an older release.
alter table ops.predictions
    add column alias text,
    add column caller text,
    add column request_id text,
    add column digest text;
-- Answers of one version since an instant: rollouts ask often, and a new version has few rows among many.
create index predictions_by_version on ops.predictions (use_case, version, requested_at);
create index predictions_by_entity on ops.predictions (use_case, entity) where entity is not null;

-- Outcomes that apps report. Append-only. Grain: one statement about one prediction, or about one entity.
create table ops.feedback (
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
create index feedback_by_entity on ops.feedback (use_case, entity) where entity is not null;
create index feedback_by_prediction on ops.feedback (prediction_id) where prediction_id is not null;

-- Current statement: the one with the latest `at`, then the latest received. conflicts: statements with another label.
-- A statement about a prediction counts for that prediction's entity. It is unmatched until the prediction is stored.
-- Grain: one entity and event time as stated, or one prediction without an entity.
create view ops.current_feedback as
with said as (
    select
        f.id, f.use_case, f.prediction_id, coalesce(f.entity, p.entity) as entity, f.event_time, f.label, f.at,
        f.received_at, f.caller,
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

-- API keys of serving. Grain: one key; among keys that are not revoked, a name is unique.
create table ops.api_keys (
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
create unique index api_keys_by_name on ops.api_keys (name) where revoked_at is null;

-- SHA-256 of the keys' secrets. valid_until: when a replaced secret stops being accepted; null for the current one.
-- Grain: one secret of one key.
create table ops.api_key_secrets (
    digest text primary key check (digest ~ '^[0-9a-f]{64}$'),
    key_id text not null references ops.api_keys,
    made_at timestamptz not null,
    valid_until timestamptz
);
create index api_key_secrets_by_key on ops.api_key_secrets (key_id);
"""


def upgrade() -> None:
    """Apply the SQL, in the transaction of this migration."""
    op.execute(SQL)
