-- Grain: one booking, from the lookback before the interval to its end.
-- Gives each booking the instant at which its price became known. What the hotel learns of a booking after it was made (the
-- room assigned, changes, days on the waiting list, parking, requests, the country on the passport) stops here: the source has
-- only its last state.

with

bookings as (
    select
        *,
        arrival_date::date as arrives_on,
        (stays_in_weekend_nights + stays_in_week_nights)::int as nights
    from {{ source("hotel_rates", "bookings") }}
    where booked_on >= {{ lookback_start() }} and booked_on < {{ interval_end() }}
)

select
    booking_number,
    booked_on as booked_at,
    arrives_on,
    lead_time::int as lead_days,
    nights,
    stays_in_weekend_nights::int as weekend_nights,
    adults::int as adults,
    children::int as children,
    babies::int as babies,
    reserved_room_type as room_type,
    market_segment,
    distribution_channel as channel,
    meal,
    customer_type,
    agent,
    company,
    is_repeated_guest::int as is_repeated_guest,
    previous_cancellations::int as previous_cancellations,
    previous_bookings_not_canceled::int as previous_stays,
    avg_price_per_room::double precision as price_per_night,
    -- The bill is closed on the day of departure; it counts as known when that day is over.
    (arrives_on + nights + 1)::timestamp at time zone 'UTC' as price_known_at
from bookings
