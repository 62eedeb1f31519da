"""The embedded stack: PostgreSQL, Airflow, MLflow, serving and a mail catcher on one machine."""
