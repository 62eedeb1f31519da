{{ config(event_time="booked_at", indexes=[{"columns": ["booked_at"]}, {"columns": ["booking_number"]}]) }}

-- Grain: one booking made in the interval.
--
-- Prices and questions stand on one time line, `at`: a price at the instant it became known (the day after departure), a
-- question at the moment of booking. A window that ends at the question therefore cannot hold what was not yet known, and
-- never the booking's own price.

with

bookings as (
    select
        *,
        extract(month from arrives_on)::int as arrival_month,
        extract(week from arrives_on)::int as arrival_week
    from {{ ref("stg_hotel_rates__bookings") }}
),

timeline as (
    select
        bookings.*,
        event.at,
        event.kind
    from bookings
    cross join lateral (
        values
        ('question', case when {{ in_interval("bookings.booked_at") }} then bookings.booked_at - {{ known_before() }} end),
        ('price', bookings.price_known_at)
    ) as event (kind, at)
    where event.at is not null
),

-- Whole cents, so that moving averages are exact in any order of rows.
facts as (
    select
        at,
        kind,
        booking_number,
        room_type,
        market_segment,
        agent,
        company,
        arrival_month,
        arrival_week,
        case when kind = 'price' then round(price_per_night * 100)::bigint end as cents,
        case when kind = 'price' then at end as fact_at
    from timeline
),

known as (
    select
        booking_number,
        kind,
        max(fact_at) {{ so_far("true") }} as newest_fact_at,
        avg(cents) {{ last("7 days", "true") }} as hotel_price_7d,
        avg(cents) {{ last("30 days", "true") }} as hotel_price_30d,
        avg(cents) {{ last("30 days", "room_type") }} as room_type_price_30d,
        avg(cents) {{ last("90 days", "room_type") }} as room_type_price_90d,
        count(cents) {{ last("90 days", "room_type") }} as room_type_stays_90d,
        avg(cents) {{ last("90 days", "market_segment") }} as segment_price_90d,
        avg(cents) {{ last("180 days", "agent") }} as agent_price_180d,
        count(cents) {{ last("180 days", "agent") }} as agent_stays_180d,
        avg(cents) {{ last("400 days", "company") }} as company_price_400d,
        avg(cents) {{ last("400 days", "arrival_week") }} as week_price_400d,
        avg(cents) {{ last("400 days", "arrival_month") }} as month_price_400d,
        avg(cents) {{ last("400 days", "arrival_month, room_type") }} as month_room_type_price_400d
    from facts
),

questions as (
    select * from known
    where kind = 'question'
)

select
    bookings.booking_number,
    bookings.booked_at,
    questions.newest_fact_at,
    bookings.room_type,
    bookings.market_segment,
    bookings.channel,
    bookings.meal,
    bookings.customer_type,
    bookings.agent,

    -- the booking itself
    bookings.lead_days::double precision as lead_days,
    bookings.nights::double precision as nights,
    bookings.weekend_nights::double precision as weekend_nights,
    bookings.adults::double precision as adults,
    bookings.children::double precision as children,
    bookings.babies::double precision as babies,
    bookings.is_repeated_guest::double precision as is_repeated_guest,
    bookings.previous_cancellations::double precision as previous_cancellations,
    bookings.previous_stays::double precision as previous_stays,
    (bookings.company is not null)::int::double precision as for_company,

    -- the calendar
    bookings.arrival_month::double precision as arrival_month,
    extract(doy from bookings.arrives_on)::double precision as arrival_day_of_year,
    extract(isodow from bookings.arrives_on)::double precision as arrival_weekday,
    extract(isodow from bookings.booked_at at time zone 'UTC')::double precision as booked_weekday,

    -- prices known by then, EUR per night
    (questions.hotel_price_7d / 100)::double precision as hotel_price_7d,
    (questions.hotel_price_30d / 100)::double precision as hotel_price_30d,
    (questions.room_type_price_30d / 100)::double precision as room_type_price_30d,
    (questions.room_type_price_90d / 100)::double precision as room_type_price_90d,
    questions.room_type_stays_90d::double precision as room_type_stays_90d,
    (questions.segment_price_90d / 100)::double precision as segment_price_90d,
    (case when bookings.agent is not null then questions.agent_price_180d / 100 end)::double precision as agent_price_180d,
    (case when bookings.agent is not null then questions.agent_stays_180d end)::double precision as agent_stays_180d,
    (case when bookings.company is not null
        then questions.company_price_400d / 100 end)::double precision as company_price_400d,
    (questions.week_price_400d / 100)::double precision as week_price_400d,
    (questions.month_price_400d / 100)::double precision as month_price_400d,
    (questions.month_room_type_price_400d / 100)::double precision as month_room_type_price_400d
from questions
inner join bookings on questions.booking_number = bookings.booking_number
