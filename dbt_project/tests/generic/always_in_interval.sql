{#- The expression is true in every row of the interval; null counts as false. -#}
{% test always_in_interval(model, expression, event_time) %}

select *
from {{ model }}
where {{ in_interval(event_time) }} and ({{ expression }}) is not true

{% endtest %}
