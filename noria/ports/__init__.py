"""Needs of jobs, as small Protocols; `noria.testing` has a fake of each, held to the same contract suite."""
