-- Grain: one hourly observation at one origin, from the lookback before the interval to its end.

select
    origin,
    -- An observation is stamped with its hour and may have been taken at any minute of it: it counts as known when that is over.
    time_hour + interval '1 hour' as observed_at,
    temp::double precision as temperature,
    wind_speed::double precision as wind_speed,
    precip::double precision as precipitation,
    pressure::double precision as pressure,
    visib::double precision as visibility
from {{ source("flight_outcomes", "weather") }}
where time_hour >= {{ lookback_start() }} and time_hour < {{ interval_end() }}
