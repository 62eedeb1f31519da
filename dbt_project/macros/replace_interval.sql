{#-
    Incremental strategy: what the model selects takes the place of the interval's rows, in one transaction.
    The model names its event time: config(event_time="scheduled_departure").
-#}
{% macro get_incremental_replace_interval_sql(arg_dict) %}
    {%- set event_time = model.config.event_time -%}
    {%- if not event_time -%}
        {{ exceptions.raise_compiler_error(model.name ~ ": strategy replace_interval needs config(event_time=...)") }}
    {%- endif -%}
    {%- set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) -%}
    delete from {{ arg_dict["target_relation"] }}
    where {{ in_interval(event_time) }};

    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict["temp_relation"] }};
{% endmacro %}
