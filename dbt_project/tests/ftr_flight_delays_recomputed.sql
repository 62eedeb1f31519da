-- A second opinion on leaks: a sample of flights, straight from raw, by plain comparison with the moment of prediction.
-- Any row is a flight whose features say something else than what was known two hours before its schedule.

with

flights as (
    select
        carrier || flight || '-' || origin || '-' || to_char(
            (time_hour + make_interval(mins => minute::int)) at time zone 'UTC', 'YYYYMMDD"T"HH24MI'
        ) as flight_id,
        origin,
        time_hour + make_interval(mins => minute::int) as scheduled_departure,
        time_hour + make_interval(mins => (minute + dep_delay)::int) as departed_at,
        dep_delay
    from {{ source("flight_delays", "flights") }}
    where time_hour >= {{ interval_start() }} - interval '2 days' and time_hour < {{ interval_end() }}
),

sample as (
    select *
    from {{ ref("ftr_flight_delays") }}
    where {{ in_interval("scheduled_departure") }}
    order by md5(flight_id)
    limit 100
),

recomputed as (
    select
        sample.flight_id,
        count(*) filter (where flights.departed_at >= sample.scheduled_departure - interval '3 hours') as departures_1h,
        avg(flights.dep_delay) as departure_delay_3h
    from sample
    left join flights
        on
            sample.origin = flights.origin
            and flights.departed_at <= sample.scheduled_departure - interval '2 hours'
            and flights.departed_at >= sample.scheduled_departure - interval '5 hours'
    group by sample.flight_id
)

select
    sample.flight_id,
    sample.origin_departures_1h,
    recomputed.departures_1h,
    sample.origin_departure_delay_3h,
    recomputed.departure_delay_3h
from sample
inner join recomputed on sample.flight_id = recomputed.flight_id
where
    sample.origin_departures_1h is distinct from recomputed.departures_1h
    or (sample.origin_departure_delay_3h is null) != (recomputed.departure_delay_3h is null)
    or abs(sample.origin_departure_delay_3h - recomputed.departure_delay_3h) > 1e-6
