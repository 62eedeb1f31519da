"""What is stored where? One file per group of tables, with the SQL that reads and writes it."""
