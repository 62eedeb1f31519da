-- Grain: one plane that the registry knows.

select
    tailnum as tail_number,
    year::double precision as built_year,
    seats::double precision as seats,
    engines::double precision as engines
from {{ source("flight_delays", "planes") }}
