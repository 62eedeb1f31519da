"""What became true? Labels that apps report, late, repeated or corrected."""
