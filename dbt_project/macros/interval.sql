{#-
    The interval that a run builds, and what its features may know, come in as variables:

        start, end        ISO 8601 instants; the run replaces event times start <= t < end
        lookback          how far before `start` raw data is read, such as '35 days'
        known_before      a feature may use what was known this long before the event, such as '2 hours'

    `noria transform` takes them from the run and from use_case.yaml. By hand:
    dbt build --select +ftr_flight_delays +lbl_flight_delays --vars '{start: 2013-01-01, end: 2013-02-01}'
-#}

{% macro interval_start() -%}
    timestamptz '{{ var("start") }}'
{%- endmacro %}

{% macro interval_end() -%}
    timestamptz '{{ var("end") }}'
{%- endmacro %}

{% macro lookback_start() -%}
    ({{ interval_start() }} - interval '{{ var("lookback") }}')
{%- endmacro %}

{% macro known_before() -%}
    interval '{{ var("known_before") }}'
{%- endmacro %}

{% macro in_interval(column) -%}
    {{ column }} >= {{ interval_start() }} and {{ column }} < {{ interval_end() }}
{%- endmacro %}
