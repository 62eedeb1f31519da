{#- Both tables have the same keys in the interval: a row is in neither or in both. -#}
{% test same_rows_as(model, other, key, event_time) %}

select coalesce(mine.{{ key }}, theirs.{{ key }}) as {{ key }}
from (select {{ key }} from {{ model }} where {{ in_interval(event_time) }}) as mine
full join (select {{ key }} from {{ other }} where {{ in_interval(event_time) }}) as theirs
    on mine.{{ key }} = theirs.{{ key }}
where mine.{{ key }} is null or theirs.{{ key }} is null

{% endtest %}
