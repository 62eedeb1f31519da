{{ config(event_time="booked_at", indexes=[{"columns": ["booked_at"]}, {"columns": ["booking_number"]}]) }}

-- Grain: one booking made in the interval.

with

bookings as (
    select * from {{ ref("stg_hotel_rates__bookings") }}
    where {{ in_interval("booked_at") }}
)

select
    booking_number,
    booked_at,
    price_per_night,
    case when price_per_night is not null then price_known_at end as label_known_at
from bookings
