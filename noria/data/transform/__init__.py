"""How do raw rows become features and labels? dbt, and the contract of its models."""
