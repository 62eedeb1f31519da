"""What only Airflow needs: timetables, the interval of a run, assets, retries and the look of our DAGs."""
