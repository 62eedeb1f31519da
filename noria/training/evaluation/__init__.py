"""How good is a model, how sure is that, and what is it worth? Judged on rows that nothing else touched."""
