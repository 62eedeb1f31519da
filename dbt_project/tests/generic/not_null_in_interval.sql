{#- The column has a value in every row of the interval. -#}
{% test not_null_in_interval(model, column_name, event_time) %}

select *
from {{ model }}
where {{ in_interval(event_time) }} and {{ column_name }} is null

{% endtest %}
