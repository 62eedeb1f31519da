-- A second opinion on leaks: a sample of bookings, straight from raw, by plain comparison with the moment of booking.
-- Any row is a booking whose features say something else than the prices of guests who had left by the day before.

with

stays as (
    select
        reserved_room_type as room_type,
        extract(month from arrival_date::date) as arrival_month,
        avg_price_per_room as price,
        arrival_date::date + (stays_in_weekend_nights + stays_in_week_nights)::int as left_on
    from {{ source("hotel_rates", "bookings") }}
),

sample as (
    select
        *,
        (booked_at at time zone 'UTC')::date as booked_on
    from {{ ref("ftr_hotel_rates") }}
    where {{ in_interval("booked_at") }}
    order by md5(booking_number)
    limit 100
),

recomputed as (
    select
        sample.booking_number,
        avg(stays.price) filter (
            where stays.room_type = sample.room_type and stays.left_on >= sample.booked_on - 31
        ) as room_type_price_30d,
        avg(stays.price) filter (where stays.left_on >= sample.booked_on - 31) as hotel_price_30d,
        avg(stays.price) filter (where stays.arrival_month = sample.arrival_month) as month_price_400d
    from sample
    left join stays on sample.booked_on > stays.left_on and sample.booked_on - 401 <= stays.left_on
    group by sample.booking_number
)

select
    sample.booking_number,
    sample.room_type_price_30d,
    recomputed.room_type_price_30d as room_type_price_30d_again,
    sample.hotel_price_30d,
    recomputed.hotel_price_30d as hotel_price_30d_again,
    sample.month_price_400d,
    recomputed.month_price_400d as month_price_400d_again
from sample
inner join recomputed on sample.booking_number = recomputed.booking_number
where
    coalesce(abs(sample.room_type_price_30d - recomputed.room_type_price_30d) > 0.006, false)
    or coalesce(abs(sample.hotel_price_30d - recomputed.hotel_price_30d) > 0.006, false)
    or coalesce(abs(sample.month_price_400d - recomputed.month_price_400d) > 0.006, false)
    or (sample.room_type_price_30d is null) != (recomputed.room_type_price_30d is null)
    or (sample.hotel_price_30d is null) != (recomputed.hotel_price_30d is null)
    or (sample.month_price_400d is null) != (recomputed.month_price_400d is null)
