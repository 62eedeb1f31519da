-- Grain: one scheduled departure, from the lookback before the interval to its end.
-- Gives every fact of a flight the instant it became known.

with

flights as (
    select * from {{ source("flight_delays", "flights") }}
    where time_hour >= {{ lookback_start() }} and time_hour < {{ interval_end() }}
),

airports as (
    select
        faa,
        tzone as time_zone
    from {{ source("flight_delays", "airports") }}
),

scheduled as (
    select
        flights.carrier,
        flights.flight::int as flight_number,
        flights.tailnum as tail_number,
        flights.origin,
        flights.dest as destination,
        flights.distance::double precision as distance,
        flights.dep_delay::int as departure_delay,
        flights.arr_delay::int as arrival_delay,
        flights.air_time::int as air_minutes,
        flights.time_hour + make_interval(mins => flights.minute::int) as scheduled_departure,
        make_interval(hours => flights.sched_arr_time::int / 100, mins => flights.sched_arr_time::int % 100) as arrival_clock,
        -- Missing from the source are four destinations (BQN, PSE, SJU, STT), all in this zone.
        coalesce(airports.time_zone, 'America/Puerto_Rico') as destination_zone
    from flights
    left join airports on flights.dest = airports.faa
),

placed as (
    select
        *,
        -- The clock at the destination, on the day that it is there at departure; on the next where that has passed.
        (date_trunc('day', scheduled_departure at time zone destination_zone) + arrival_clock)
        at time zone destination_zone as arrival_same_day
    from scheduled
),

timed as (
    select
        *,
        case when arrival_same_day > scheduled_departure then arrival_same_day else arrival_same_day + interval '1 day' end
            as scheduled_arrival,
        scheduled_departure + make_interval(mins => departure_delay) as departed_at
    from placed
)

select
    carrier || flight_number || '-' || origin || '-'
    || to_char(scheduled_departure at time zone 'UTC', 'YYYYMMDD"T"HH24MI') as flight_id,
    carrier,
    flight_number,
    tail_number,
    origin,
    destination,
    distance,
    scheduled_departure,
    scheduled_arrival,
    (extract(epoch from scheduled_arrival - scheduled_departure) / 60)::int as scheduled_minutes,
    departure_delay,
    departed_at,
    arrival_delay,
    -- Known no sooner than the flying time allows, for any clock of the schedule.
    greatest(scheduled_arrival + make_interval(mins => arrival_delay), departed_at + make_interval(mins => air_minutes))
        as arrived_at
from timed
