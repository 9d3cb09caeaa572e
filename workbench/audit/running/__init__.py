"""From what was asked to a finished run: plan, kernel, sections, limits, stops, resume."""
