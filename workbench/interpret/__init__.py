"""Looking inside: methods that return a result table with intervals and a chart."""
