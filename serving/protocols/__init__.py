"""Other protocols: Open Inference and MLflow's scoring protocol."""
