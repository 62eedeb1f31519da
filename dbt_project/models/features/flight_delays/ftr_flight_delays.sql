{{
    config(
        event_time="scheduled_departure",
        indexes=[{"columns": ["scheduled_departure"]}, {"columns": ["flight_id"]}],
        pre_hook="set local work_mem = '256MB'",
    )
}}

-- Grain: one scheduled departure of the interval.
--
-- Facts and questions stand on one time line, `at`: a departure at the instant the plane left, an arrival at the instant it
-- was there, a question at the moment of prediction (`known_before` ahead of the schedule). A window that ends at the question
-- therefore cannot hold what was not yet known.

with

flights as (
    select * from {{ ref("stg_flight_delays__flights") }}
),

weather as (
    select * from {{ ref("stg_flight_delays__weather") }}
),

planes as (
    select * from {{ ref("stg_flight_delays__planes") }}
),

-- The schedule is known weeks ahead. Only flights at or before this one are counted, so that an interval does not depend on
-- whether the next one has been brought.
scheduled as (
    select
        *,
        scheduled_departure - {{ known_before() }} as predicted_at,
        count(*) over (
            partition by origin order by scheduled_departure
            range between interval '1 hour' preceding and current row
        ) as origin_scheduled_1h
    from flights
),

-- One row per flight and thing that happens to it. It is overdue from 15 minutes after its schedule until it leaves, or until
-- six hours have passed and nobody waits for it any more.
timeline as (
    select
        scheduled.*,
        event.at,
        event.kind
    from scheduled
    cross join lateral (
        values
        ('question', case when {{ in_interval("scheduled.scheduled_departure") }} then scheduled.predicted_at end),
        ('departure', scheduled.departed_at),
        ('arrival', scheduled.arrived_at),
        (
            'overdue',
            case when scheduled.departed_at is null or scheduled.departure_delay > 15
                then scheduled.scheduled_departure + interval '15 minutes' end
        ),
        (
            'settled',
            case when scheduled.departed_at is null or scheduled.departure_delay > 15
                then least(scheduled.departed_at, scheduled.scheduled_departure + interval '6 hours') end
        )
    ) as event (kind, at)
    where event.at is not null
),

-- A fact speaks only at its own instant: whole minutes, so that moving averages are exact and cheap.
facts as (
    select
        at,
        kind,
        flight_id,
        carrier,
        flight_number,
        tail_number,
        origin,
        destination,
        extract(hour from scheduled_departure) as utc_hour,
        case when kind = 'departure' then departure_delay end as departure_delay,
        case when kind = 'departure' then (departure_delay > 15)::int end as departed_late,
        case when kind = 'arrival' then arrival_delay end as arrival_delay,
        case when kind = 'arrival' then (arrival_delay > 15)::int end as arrived_late,
        case kind when 'overdue' then 1 when 'settled' then -1 else 0 end as waiting,
        -- out, 45 minutes on the ground, and back
        case when kind = 'departure' then departed_at + make_interval(mins => 2 * scheduled_minutes + 45) end as back_at,
        case when kind != 'question' then at end as fact_at
    from timeline
),

known as (
    select
        *,
        avg(departure_delay) {{ last("1 hour", "origin") }} as origin_departure_delay_1h,
        avg(departure_delay) {{ last("3 hours", "origin") }} as origin_departure_delay_3h,
        avg(departed_late) {{ last("3 hours", "origin") }} as origin_departed_late_3h,
        count(departure_delay) {{ last("1 hour", "origin") }} as origin_departures_1h,
        sum(waiting) {{ so_far("origin") }} as origin_overdue,
        avg(arrival_delay) {{ last("3 hours", "origin") }} as origin_arrival_delay_3h,
        avg(arrival_delay) {{ last("24 hours", "origin") }} as origin_arrival_delay_24h,
        max(fact_at) {{ so_far("origin") }} as newest_fact_at,

        sum(waiting) {{ so_far("true") }} as city_overdue,
        avg(arrived_late) {{ last("7 days", "true") }} as city_arrived_late_7d,

        avg(departure_delay) {{ last("3 hours", "carrier, origin") }} as carrier_departure_delay_3h,
        avg(arrival_delay) {{ last("24 hours", "carrier, origin") }} as carrier_arrival_delay_24h,
        sum(waiting) {{ so_far("carrier, origin") }} as carrier_overdue,
        avg(arrived_late) {{ last("7 days", "carrier, origin") }} as carrier_arrived_late_7d,

        avg(departure_delay) {{ last("3 hours", "destination") }} as destination_departure_delay_3h,
        avg(arrival_delay) {{ last("6 hours", "destination") }} as destination_arrival_delay_6h,
        avg(arrival_delay) {{ last("24 hours", "destination") }} as destination_arrival_delay_24h,
        sum(waiting) {{ so_far("destination") }} as destination_overdue,

        avg(arrival_delay) {{ last("7 days", "origin, destination, carrier") }} as route_arrival_delay_7d,
        avg(arrived_late) {{ last("28 days", "origin, destination, carrier") }} as route_arrived_late_28d,
        avg(departure_delay) {{ last("28 days", "origin, destination, carrier") }} as route_departure_delay_28d,

        avg(arrival_delay) {{ last("28 days", "carrier, flight_number, origin") }} as flight_arrival_delay_28d,
        avg(arrived_late) {{ last("28 days", "carrier, flight_number, origin") }} as flight_arrived_late_28d,

        avg(arrived_late) {{ last("28 days", "origin, utc_hour") }} as hour_arrived_late_28d,

        count(departure_delay) {{ so_far("tail_number") }} as plane_departures,
        count(arrival_delay) {{ so_far("tail_number") }} as plane_arrivals,
        sum(waiting) {{ so_far("tail_number") }} as plane_overdue
    from facts
),

-- The plane's latest leg out of New York: all rows since that departure (or arrival) share its count.
previous_leg as (
    select
        *,
        max(departure_delay) over (partition by tail_number, plane_departures) as plane_departure_delay,
        max(back_at) over (partition by tail_number, plane_departures) as plane_back_at,
        max(case when kind = 'departure' then at end) over (partition by tail_number, plane_departures) as plane_departed_at,
        max(arrival_delay) over (partition by tail_number, plane_arrivals) as plane_arrival_delay,
        max(case when kind = 'arrival' then at end) over (partition by tail_number, plane_arrivals) as plane_arrived_at
    from known
),

questions as (
    select
        *,
        tail_number is not null and plane_departed_at > at - interval '3 days' as plane_is_recent
    from previous_leg
    where kind = 'question'
),

observations as (
    select
        *,
        pressure - first_value(pressure) over three_hours as pressure_change_3h,
        sum(precipitation) over six_hours as precipitation_6h,
        min(visibility) over three_hours as visibility_3h,
        max(wind_gust) over three_hours as wind_gust_3h
    from weather
    window
        three_hours as (
            partition by origin order by observed_at range between interval '3 hours' preceding and current row
        ),
        six_hours as (partition by origin order by observed_at range between interval '5 hours' preceding and current row)
),

weather_by_hour as (
    {{ by_hour("observations") }}
)

select
    flights.flight_id,
    flights.scheduled_departure,
    greatest(
        questions.newest_fact_at, weather_by_hour.observed_at, questions.plane_departed_at, questions.plane_arrived_at
    ) as newest_fact_at,
    flights.carrier,
    flights.origin,
    flights.destination,

    -- the schedule, on New York's clock
    extract(hour from flights.scheduled_departure at time zone 'America/New_York')::double precision as scheduled_hour,
    (extract(epoch from (flights.scheduled_departure at time zone 'America/New_York')::time) / 60)::double precision
        as scheduled_minute_of_day,
    extract(isodow from flights.scheduled_departure at time zone 'America/New_York')::double precision as weekday,
    flights.distance,
    flights.scheduled_minutes::double precision as scheduled_minutes,
    (flights.scheduled_minutes - flights.distance / 8)::double precision as schedule_slack,
    flights.origin_scheduled_1h::double precision as origin_scheduled_1h,

    -- the plane, and its latest departure from New York within three days
    (extract(year from flights.scheduled_departure) - planes.built_year)::double precision as plane_age,
    planes.seats::double precision as plane_seats,
    (case when questions.plane_is_recent
        then questions.plane_departure_delay end)::double precision as plane_departure_delay,
    (case when questions.plane_is_recent
        then questions.plane_arrival_delay end)::double precision as plane_arrival_delay,
    (case when questions.plane_is_recent
        then (extract(epoch from questions.at - questions.plane_departed_at) / 3600) end)::double precision as plane_hours_since_departure,
    (case when questions.plane_is_recent
        then (extract(epoch from flights.scheduled_departure - questions.plane_back_at) / 60) end)::double precision as plane_minutes_to_return,
    (case when flights.tail_number is not null
        then questions.plane_overdue end)::double precision as plane_overdue,

    -- the weather at the origin, as last observed
    weather_by_hour.temperature::double precision as temperature,
    weather_by_hour.dew_point::double precision as dew_point,
    weather_by_hour.humidity::double precision as humidity,
    weather_by_hour.wind_direction::double precision as wind_direction,
    weather_by_hour.wind_speed::double precision as wind_speed,
    weather_by_hour.wind_gust_3h::double precision as wind_gust_3h,
    weather_by_hour.precipitation::double precision as precipitation,
    weather_by_hour.precipitation_6h::double precision as precipitation_6h,
    weather_by_hour.pressure::double precision as pressure,
    weather_by_hour.pressure_change_3h::double precision as pressure_change_3h,
    weather_by_hour.visibility::double precision as visibility,
    weather_by_hour.visibility_3h::double precision as visibility_3h,

    -- what had happened by then
    questions.origin_departure_delay_1h::double precision as origin_departure_delay_1h,
    questions.origin_departure_delay_3h::double precision as origin_departure_delay_3h,
    questions.origin_departed_late_3h::double precision as origin_departed_late_3h,
    questions.origin_departures_1h::double precision as origin_departures_1h,
    questions.origin_overdue::double precision as origin_overdue,
    questions.origin_arrival_delay_3h::double precision as origin_arrival_delay_3h,
    questions.origin_arrival_delay_24h::double precision as origin_arrival_delay_24h,
    questions.city_overdue::double precision as city_overdue,
    questions.city_arrived_late_7d::double precision as city_arrived_late_7d,
    questions.carrier_departure_delay_3h::double precision as carrier_departure_delay_3h,
    questions.carrier_arrival_delay_24h::double precision as carrier_arrival_delay_24h,
    questions.carrier_overdue::double precision as carrier_overdue,
    questions.carrier_arrived_late_7d::double precision as carrier_arrived_late_7d,
    questions.destination_departure_delay_3h::double precision as destination_departure_delay_3h,
    questions.destination_arrival_delay_6h::double precision as destination_arrival_delay_6h,
    questions.destination_arrival_delay_24h::double precision as destination_arrival_delay_24h,
    questions.destination_overdue::double precision as destination_overdue,
    questions.route_arrival_delay_7d::double precision as route_arrival_delay_7d,
    questions.route_arrived_late_28d::double precision as route_arrived_late_28d,
    questions.route_departure_delay_28d::double precision as route_departure_delay_28d,
    questions.flight_arrival_delay_28d::double precision as flight_arrival_delay_28d,
    questions.flight_arrived_late_28d::double precision as flight_arrived_late_28d,
    questions.hour_arrived_late_28d::double precision as hour_arrived_late_28d
from questions
inner join scheduled as flights on questions.flight_id = flights.flight_id
left join planes on flights.tail_number = planes.tail_number
left join weather_by_hour
    on flights.origin = weather_by_hour.origin and date_trunc('hour', questions.at) = weather_by_hour.hour_at
