#!/bin/sh
# Runs once, on an empty data folder: one database and one login for each, so that none can read another's.
set -eu

create() {
    # psql quotes the values itself: a password may hold any character.
    psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 --set name="$1" --set password="$2" <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke connect on database :"name" from public;
SQL
}

create airflow "$AIRFLOW_DB_PASSWORD"
create mlflow "$MLFLOW_DB_PASSWORD"
create noria "$NORIA_DB_PASSWORD"
