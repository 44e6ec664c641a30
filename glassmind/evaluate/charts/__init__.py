"""Just enough drawing for a page: ``svg`` (scales, axes), ``line_chart``."""
