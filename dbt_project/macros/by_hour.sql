{#-
    Weather as it was last observed, one row per origin and hour: an observation holds until the next one, at most for six hours.
    `observations` is a relation or a common table expression with `origin` and `observed_at`, which is on the hour; the rows
    get `hour_at`.
-#}
{% macro by_hour(observations) -%}
    select
        held.*,
        known_hour.hour_at
    from (
        select
            *,
            lead(observed_at) over (partition by origin order by observed_at) as next_observed_at
        from {{ observations }}
    ) as held
    cross join lateral generate_series(
        held.observed_at,
        least(held.next_observed_at, held.observed_at + interval '6 hours') - interval '1 hour',
        interval '1 hour'
    ) as known_hour (hour_at)
{%- endmacro %}
