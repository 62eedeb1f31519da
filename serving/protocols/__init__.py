"""Other ways to ask: the Open Inference Protocol and MLflow's scoring protocol."""
