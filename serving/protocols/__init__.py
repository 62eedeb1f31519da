"""Which other protocols are answered? Open Inference and MLflow's scoring protocol."""
