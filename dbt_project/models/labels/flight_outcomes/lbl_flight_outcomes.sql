{{ config(event_time="scheduled_departure", indexes=[{"columns": ["scheduled_departure"]}, {"columns": ["flight_id"]}]) }}

-- Grain: one scheduled departure of the interval. A flight that was diverted has no label.

with

flights as (
    select * from {{ ref("stg_flight_outcomes__flights") }}
    where {{ in_interval("scheduled_departure") }}
)

select
    flight_id,
    scheduled_departure,
    outcome,
    case when outcome is not null then outcome_known_at end as label_known_at
from flights
