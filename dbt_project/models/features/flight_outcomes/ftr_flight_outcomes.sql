{{
    config(
        event_time="scheduled_departure",
        indexes=[{"columns": ["scheduled_departure"]}, {"columns": ["flight_id"]}],
        pre_hook="set local work_mem = '256MB'",
    )
}}

-- Grain: one scheduled departure of the interval.
--
-- Facts and questions stand on one time line, `at`: a departure at the instant the plane left, an outcome when it is known
-- beyond doubt, a flight that is `due` three hours after its schedule, a question six hours before it. A window that ends at
-- the question therefore cannot hold what was not yet known.

with

flights as (
    select * from {{ ref("stg_flight_outcomes__flights") }}
),

weather as (
    select * from {{ ref("stg_flight_outcomes__weather") }}
),

timeline as (
    select
        flights.*,
        event.at,
        event.kind
    from flights
    cross join lateral (
        values
        (
            'question',
            case when {{ in_interval("flights.scheduled_departure") }} then flights.scheduled_departure - {{ known_before() }} end
        ),
        ('departure', flights.departed_at),
        ('due', flights.scheduled_departure + interval '3 hours'),
        ('outcome', case when flights.outcome is not null then flights.outcome_known_at end)
    ) as event (kind, at)
    where event.at is not null
),

-- A fact speaks only at its own instant: whole numbers, so that moving averages are exact and cheap.
facts as (
    select
        at,
        kind,
        flight_id,
        carrier,
        flight_number,
        origin,
        destination,
        extract(hour from scheduled_departure) as utc_hour,
        case when kind = 'departure' then departure_delay end as departure_delay,
        case when kind = 'due' then (departure_delay is null or departure_delay > 180)::int end as not_left,
        case when kind = 'outcome' then (outcome = 'late')::int end as late,
        case when kind = 'outcome' then (outcome = 'cancelled')::int end as cancelled,
        case when kind != 'question' then at end as fact_at
    from timeline
),

known as (
    select
        flight_id,
        kind,
        at,
        max(fact_at) {{ so_far("origin") }} as newest_origin_fact_at,
        max(fact_at) {{ so_far("destination") }} as newest_destination_fact_at,
        max(fact_at) {{ so_far("carrier") }} as newest_carrier_fact_at,
        avg(departure_delay) {{ last("3 hours", "origin") }} as origin_departure_delay_3h,
        avg(not_left) {{ last("6 hours", "origin") }} as origin_not_left_6h,
        avg(not_left) {{ last("24 hours", "origin") }} as origin_not_left_24h,
        avg(not_left) {{ last("24 hours", "carrier") }} as carrier_not_left_24h,
        avg(late) {{ last("7 days", "carrier, origin") }} as carrier_late_7d,
        avg(cancelled) {{ last("7 days", "carrier, origin") }} as carrier_cancelled_7d,
        avg(cancelled) {{ last("28 days", "carrier, origin") }} as carrier_cancelled_28d,
        avg(late) {{ last("7 days", "origin") }} as origin_late_7d,
        avg(late) {{ last("28 days", "origin, utc_hour") }} as hour_late_28d,
        avg(late) {{ last("28 days", "carrier, flight_number, origin") }} as flight_late_28d,
        avg(late) {{ last("28 days", "destination") }} as destination_late_28d,
        avg(cancelled) {{ last("7 days", "destination") }} as destination_cancelled_7d,
        avg(cancelled) {{ last("28 days", "destination") }} as destination_cancelled_28d
    from facts
),

questions as (
    select * from known
    where kind = 'question'
),

observations as (
    select
        *,
        sum(precipitation) over (
            partition by origin order by observed_at range between interval '5 hours' preceding and current row
        ) as precipitation_6h
    from weather
),

weather_by_hour as (
    {{ by_hour("observations") }}
)

select
    flights.flight_id,
    flights.scheduled_departure,
    greatest(
        questions.newest_origin_fact_at,
        questions.newest_destination_fact_at,
        questions.newest_carrier_fact_at,
        weather_by_hour.observed_at
    ) as newest_fact_at,
    flights.carrier,
    flights.origin,
    flights.destination,

    -- the schedule, on New York's clock
    extract(hour from flights.scheduled_departure at time zone 'America/New_York')::double precision as scheduled_hour,
    extract(isodow from flights.scheduled_departure at time zone 'America/New_York')::double precision as weekday,
    flights.distance,

    -- the weather at the origin, as last observed
    weather_by_hour.temperature,
    weather_by_hour.wind_speed,
    weather_by_hour.precipitation_6h,
    weather_by_hour.pressure,
    weather_by_hour.visibility,

    -- what had happened by then
    questions.origin_departure_delay_3h::double precision as origin_departure_delay_3h,
    questions.origin_not_left_6h::double precision as origin_not_left_6h,
    questions.origin_not_left_24h::double precision as origin_not_left_24h,
    questions.carrier_not_left_24h::double precision as carrier_not_left_24h,
    questions.carrier_late_7d::double precision as carrier_late_7d,
    questions.carrier_cancelled_7d::double precision as carrier_cancelled_7d,
    questions.carrier_cancelled_28d::double precision as carrier_cancelled_28d,
    questions.origin_late_7d::double precision as origin_late_7d,
    questions.hour_late_28d::double precision as hour_late_28d,
    questions.flight_late_28d::double precision as flight_late_28d,
    questions.destination_late_28d::double precision as destination_late_28d,
    questions.destination_cancelled_7d::double precision as destination_cancelled_7d,
    questions.destination_cancelled_28d::double precision as destination_cancelled_28d
from questions
inner join flights on questions.flight_id = flights.flight_id
left join weather_by_hour
    on flights.origin = weather_by_hour.origin and date_trunc('hour', questions.at) = weather_by_hour.hour_at
