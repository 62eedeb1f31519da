{#- No two rows of the interval share these columns. -#}
{% test unique_in_interval(model, columns, event_time) %}

select
    {{ columns | join(", ") }},
    count(*) as copies
from {{ model }}
where {{ in_interval(event_time) }}
group by {{ columns | join(", ") }}
having count(*) > 1

{% endtest %}
