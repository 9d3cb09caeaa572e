"""What a reviewer asks of any audit: 33 lines, hazards and risks, openness."""
