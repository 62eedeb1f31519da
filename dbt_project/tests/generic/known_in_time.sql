{#- No row of the interval uses a fact that became known after the moment of its prediction. -#}
{% test known_in_time(model, fact, event_time) %}

select *
from {{ model }}
where {{ in_interval(event_time) }} and {{ fact }} > {{ event_time }} - {{ known_before() }}

{% endtest %}
