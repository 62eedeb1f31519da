#!/bin/sh
# Brings every table up to date and makes the first administrator. Harmless when run again.
set -eu

airflow db migrate
airflow fab-db migrate
# Says so and goes on where the administrator is there already; a password that was changed in the pages stays.
airflow users create --role Admin --username "$AIRFLOW_ADMIN_USER" --password "$AIRFLOW_ADMIN_PASSWORD" \
    --firstname Noria --lastname Administrator --email "$AIRFLOW_ADMIN_EMAIL"
