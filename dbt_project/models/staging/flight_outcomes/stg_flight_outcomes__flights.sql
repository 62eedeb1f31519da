-- Grain: one scheduled departure, from the lookback before the interval to its end.
-- Gives each fact of a flight an instant at which it was known beyond doubt.

with

flights as (
    select
        *,
        time_hour + make_interval(mins => minute::int) as scheduled_departure
    from {{ source("flight_outcomes", "flights") }}
    where time_hour >= {{ lookback_start() }} and time_hour < {{ interval_end() }}
),

timed as (
    select
        *,
        scheduled_departure + make_interval(mins => dep_delay::int) as departed_at
    from flights
)

select
    carrier || flight || '-' || origin || '-'
    || to_char(scheduled_departure at time zone 'UTC', 'YYYYMMDD"T"HH24MI') as flight_id,
    carrier,
    flight::int as flight_number,
    origin,
    dest as destination,
    distance::double precision as distance,
    scheduled_departure,
    dep_delay::int as departure_delay,
    departed_at,
    -- A flight that left and never arrived as planned (diverted) has no outcome of these three.
    case
        when dep_delay is null then 'cancelled'
        when arr_delay > 15 then 'late'
        when arr_delay is not null then 'on_time'
    end as outcome,
    -- The source says neither when a flight was called off nor, without time zones, when a plane arrived. A day after schedule
    -- the one that has not left is cancelled; 15 hours after it left, the one that left has arrived, for any time on taxiways.
    greatest(scheduled_departure + interval '24 hours', departed_at + interval '15 hours') as outcome_known_at
from timed
