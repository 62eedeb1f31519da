"""Shows what is wrong in a use case as this file's import error in Airflow; the DAGs of the other use cases stay."""

from noria_airflow.use_cases import raise_problems

raise_problems()
