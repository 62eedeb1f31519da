-- A second opinion on leaks: a sample of flights, straight from raw, by plain comparison with the moment of prediction.
-- Any row is a flight whose features say something else than what was known six hours before its schedule.

with

flights as (
    select
        carrier,
        origin,
        dest as destination,
        dep_delay,
        arr_delay,
        time_hour + make_interval(mins => minute::int) as scheduled_departure,
        time_hour + make_interval(mins => (minute + dep_delay)::int) as departed_at
    from {{ source("flight_outcomes", "flights") }}
    where time_hour >= {{ interval_start() }} - interval '32 days' and time_hour < {{ interval_end() }}
),

sample as (
    select
        *,
        scheduled_departure - interval '6 hours' as predicted_at
    from {{ ref("ftr_flight_outcomes") }}
    where {{ in_interval("scheduled_departure") }}
    order by md5(flight_id)
    limit 100
),

recomputed as (
    select
        sample.flight_id,
        avg(flights.dep_delay) filter (
            where flights.origin = sample.origin
            and flights.departed_at between sample.predicted_at - interval '3 hours' and sample.predicted_at
        ) as departure_delay_3h,
        avg((flights.dep_delay is null or flights.dep_delay > 180)::int) filter (
            where flights.origin = sample.origin
            and flights.scheduled_departure
            between sample.predicted_at - interval '27 hours' and sample.predicted_at - interval '3 hours'
        ) as not_left_24h,
        avg((flights.dep_delay is null)::int) filter (
            where flights.destination = sample.destination
            and (flights.dep_delay is null or flights.arr_delay is not null)
            and greatest(flights.scheduled_departure + interval '24 hours', flights.departed_at + interval '15 hours')
            between sample.predicted_at - interval '7 days' and sample.predicted_at
        ) as destination_cancelled_7d
    from sample
    left join flights
        on
            (sample.origin = flights.origin or sample.destination = flights.destination)
            and flights.scheduled_departure between sample.predicted_at - interval '10 days' and sample.predicted_at + interval '2 hours'
    group by sample.flight_id
)

select
    sample.flight_id,
    sample.origin_departure_delay_3h,
    recomputed.departure_delay_3h,
    sample.origin_not_left_24h,
    recomputed.not_left_24h,
    sample.destination_cancelled_7d,
    recomputed.destination_cancelled_7d as destination_cancelled_7d_again
from sample
inner join recomputed on sample.flight_id = recomputed.flight_id
where
    coalesce(abs(sample.origin_departure_delay_3h - recomputed.departure_delay_3h) > 1e-6, false)
    or coalesce(abs(sample.origin_not_left_24h - recomputed.not_left_24h) > 1e-6, false)
    or coalesce(abs(sample.destination_cancelled_7d - recomputed.destination_cancelled_7d) > 1e-6, false)
    or (sample.origin_departure_delay_3h is null) != (recomputed.departure_delay_3h is null)
    or (sample.origin_not_left_24h is null) != (recomputed.not_left_24h is null)
    or (sample.destination_cancelled_7d is null) != (recomputed.destination_cancelled_7d is null)
