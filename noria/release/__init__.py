"""May a version serve? Approvals, promotion, roll-back, and the audit trail of both."""
