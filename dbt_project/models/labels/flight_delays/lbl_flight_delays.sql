{{ config(event_time="scheduled_departure", indexes=[{"columns": ["scheduled_departure"]}, {"columns": ["flight_id"]}]) }}

-- Grain: one scheduled departure of the interval. A flight that was cancelled or diverted has no label.

with

flights as (
    select * from {{ ref("stg_flight_delays__flights") }}
    where {{ in_interval("scheduled_departure") }}
)

select
    flight_id,
    scheduled_departure,
    arrival_delay > 15 as arrived_late,
    case when arrival_delay is not null then arrived_at end as label_known_at
from flights
