{#-
    Frame of a window over facts in the order in which they became known: those of the last `length` up to the row's own instant.
    Whole numbers only inside: PostgreSQL then moves the frame in constant time, and sums are exact in any order.
-#}
{% macro last(length, keys) -%}
    over (partition by {{ keys }} order by at range between interval '{{ length }}' preceding and current row)
{%- endmacro %}

{#- Everything known so far, within the lookback. -#}
{% macro so_far(keys) -%}
    over (partition by {{ keys }} order by at)
{%- endmacro %}
